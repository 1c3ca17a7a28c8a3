//! What a child does of its own between fork and exec, whoever starts it.
//!
//! The attack, or the accident: a child that outlives its parent goes on writing, or takes a torn
//! input for a whole one; and a descriptor that somebody forgot to mark is the child's too.
//! Everything here is async-signal-safe and touches no memory of ours.

use std::io;

/// Lets this process be killed when the thread that started it ends. `parent` is the process that
/// started it, as it knew itself before.
///
/// # Errors
/// Where the kernel refuses, or the parent is gone already: then nobody would tell this process.
pub fn die_with(parent: u32) -> io::Result<()> {
    // SAFETY: prctl with these arguments and getppid touch no memory.
    #[expect(unsafe_code, reason = "the standard library has neither")]
    let (bound, now) =
        unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), libc::getppid()) };
    if bound != 0 {
        return Err(io::Error::last_os_error());
    }
    if now.cast_unsigned() != parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

/// Lets no descriptor but the standard ones be inherited, marked or not. An old kernel cannot.
pub fn keep_standard_descriptors() {
    // SAFETY: close_range with these arguments touches no memory.
    #[expect(unsafe_code, reason = "the standard library has it not")]
    unsafe {
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}
