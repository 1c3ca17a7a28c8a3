//! What every error of every floor can say besides its message: a stable code, a hint, and which
//! exit code it ends in.

/// How an operation that failed ends the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitClass {
    /// The sync or a connector failed: 1.
    Failed,
    /// Bad usage or configuration: 2.
    Usage,
    /// Refused by policy: 3.
    Refused,
    /// Stopped by a signal, cleanly: 130, as a shell reports SIGINT.
    Interrupted,
}

impl ExitClass {
    /// The process exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Interrupted => 130,
        }
    }
}

/// An error with a code that scripts may match on.
pub trait Fault: std::error::Error {
    /// Stable, in upper case: `COMPONENT_TRUNCATED`.
    fn code(&self) -> &'static str;

    /// What to do about it.
    fn hint(&self) -> Option<String> {
        None
    }

    /// Which exit code it ends in.
    fn exit(&self) -> ExitClass {
        ExitClass::Failed
    }

    /// Facts beside the message, as name and value.
    fn context(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}
