//! The calls.

use lockgate_sdk::log;

use self::bindings::wasi::filesystem::preopens::get_directories;
use self::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
    filesystem_error_code,
};
use self::bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::Step;

mod bindings {
    wit_bindgen::generate!({
        world: "lockgate:sdk/filesystem",
        path: "../../../sdk/wit",
        // The SDK has the same world: the two descriptions must not run into one.
        type_section_suffix: "filesystem-source",
        generate_all,
    });
}

type Outcome = Result<String, String>;

/// What stays open.
#[derive(Default)]
struct Kept {
    files: Vec<Descriptor>,
    inputs: Vec<InputStream>,
    outputs: Vec<OutputStream>,
}

pub(crate) fn run(steps: &[Step]) {
    let directories = get_directories();
    let mut kept = Kept::default();
    for (number, step) in steps.iter().enumerate() {
        let mut done = 0;
        let mut last = String::new();
        for turn in 0..step.repeat {
            match attempt(&directories, step, turn, &mut kept) {
                Ok(said) => {
                    done += 1;
                    if step.repeat == 1 {
                        last = format!("ok {said}");
                    }
                }
                Err(error) => {
                    last = error;
                    break;
                }
            }
        }
        let count = if step.repeat == 1 { String::new() } else { format!(" {done}") };
        log::info(format_args!("{number} {}{count}: {}", step.what, last.trim_end()));
    }
}

fn name(code: ErrorCode) -> String {
    code.name().to_owned()
}

fn stream_error(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => {
            filesystem_error_code(&error).map_or_else(|| error.to_debug_string(), name)
        }
    }
}

fn attempt(
    directories: &[(Descriptor, String)],
    step: &Step,
    turn: u64,
    kept: &mut Kept,
) -> Outcome {
    let find = |name: &str| {
        let found = directories.iter().find(|(_, guest)| guest == name);
        found.map(|(descriptor, _)| descriptor).ok_or_else(|| "not-granted".to_owned())
    };
    let within = find(&step.within)?;
    let other = find(step.to_in.as_deref().unwrap_or(&step.within))?;
    let turn = turn.to_string();
    let path = step.path.replace("{}", &turn).replace("{nul}", "\0");
    let to = step.to.replace("{}", &turn);
    let nofollow = step.open.iter().any(|word| word == "nofollow");
    let follow = if nofollow { PathFlags::empty() } else { PathFlags::SYMLINK_FOLLOW };
    let opened = || open(within, follow, &path, &step.open);
    let done = |()| String::new();
    match step.what.as_str() {
        "open" => {
            let file = opened()?;
            if step.keep {
                kept.files.push(file);
            }
            Ok(String::new())
        }
        "read" => {
            let (bytes, _) = opened()?.read(1 << 16, step.offset).map_err(name)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        "read-stream" => {
            let stream = opened()?.read_via_stream(0).map_err(name)?;
            let bytes = stream.blocking_read(1 << 16).map_err(stream_error)?;
            if step.keep {
                kept.inputs.push(stream);
            }
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        "write" => {
            let bytes = vec![b'x'; usize::try_from(step.bytes).unwrap_or(usize::MAX)];
            opened()?.write(&bytes, step.offset).map(|n| n.to_string()).map_err(name)
        }
        "write-stream" | "append-stream" | "zeroes-stream" | "nonblocking-stream" => {
            let file = opened()?;
            let stream = match step.what.as_str() {
                "append-stream" => file.append_via_stream(),
                _ => file.write_via_stream(step.offset),
            };
            let stream = stream.map_err(name)?;
            // The stream goes on without its descriptor.
            drop(file);
            let answer = pour(&stream, &step.what, step.bytes).map_err(stream_error);
            if step.keep {
                kept.outputs.push(stream);
            }
            answer.map(done)
        }
        "set-size" => opened()?.set_size(step.bytes).map(done).map_err(name),
        "set-times" => {
            opened()?.set_times(NewTimestamp::Now, NewTimestamp::Now).map(done).map_err(name)
        }
        "sync" => opened()?.sync().map(done).map_err(name),
        "set-times-at" => within
            .set_times_at(follow, &path, NewTimestamp::Now, NewTimestamp::Now)
            .map(done)
            .map_err(name),
        "rename" => within.rename_at(&path, other, &to).map(done).map_err(name),
        "link" => within.link_at(PathFlags::empty(), &path, other, &to).map(done).map_err(name),
        "symlink" => within.symlink_at(&to, &path).map(done).map_err(name),
        "unlink" => within.unlink_file_at(&path).map(done).map_err(name),
        "rmdir" => within.remove_directory_at(&path).map(done).map_err(name),
        "mkdir" => within.create_directory_at(&path).map(done).map_err(name),
        "readlink" => within.readlink_at(&path).map_err(name),
        "stat" => within.stat_at(follow, &path).map(|s| s.size.to_string()).map_err(name),
        "hash" => within.metadata_hash_at(follow, &path).map(|_| String::new()).map_err(name),
        "list" => list(&opened()?),
        "list-granted" => list(within),
        "preopens" => {
            kept.files.extend(get_directories().into_iter().map(|(file, _)| file));
            Ok(String::new())
        }
        other => Err(format!("there is no {other}")),
    }
}

fn open(
    within: &Descriptor,
    follow: PathFlags,
    path: &str,
    words: &[String],
) -> Result<Descriptor, String> {
    let (mut how, mut rights) = (OpenFlags::empty(), DescriptorFlags::empty());
    for word in words {
        match word.as_str() {
            "create" => how |= OpenFlags::CREATE,
            "exclusive" => how |= OpenFlags::EXCLUSIVE,
            "truncate" => how |= OpenFlags::TRUNCATE,
            "directory" => how |= OpenFlags::DIRECTORY,
            "read" => rights |= DescriptorFlags::READ,
            "write" => rights |= DescriptorFlags::WRITE,
            "mutate" => rights |= DescriptorFlags::MUTATE_DIRECTORY,
            _ => {}
        }
    }
    within.open_at(follow, path, how, rights).map_err(name)
}

fn pour(stream: &OutputStream, how: &str, bytes: u64) -> Result<(), StreamError> {
    let mut left = bytes;
    while left > 0 {
        let part = left.min(4096);
        match how {
            "zeroes-stream" => stream.blocking_write_zeroes_and_flush(part)?,
            "nonblocking-stream" => {
                // Without the permit that `check-write` would have given.
                stream.write(&vec![b'x'; usize::try_from(left).unwrap_or(usize::MAX)])?;
                stream.blocking_flush()?;
                return Ok(());
            }
            _ => stream.blocking_write_and_flush(&vec![b'x'; part as usize])?,
        }
        left -= part;
    }
    Ok(())
}

fn list(directory: &Descriptor) -> Outcome {
    let entries = directory.read_directory().map_err(name)?;
    let mut names = Vec::new();
    while let Some(entry) = entries.read_directory_entry().map_err(name)? {
        names.push(entry.name);
    }
    names.sort();
    Ok(if names.len() > 20 { names.len().to_string() } else { names.join(",") })
}
