//! The SDK as a connector's author sees it.

// The attributes are for clippy, which lets a test panic only where it says so.
#[cfg(test)]
mod config;
#[cfg(test)]
mod files;
#[cfg(test)]
mod http;
#[cfg(test)]
mod input;
#[cfg(test)]
mod output;
#[cfg(test)]
mod retry;
#[cfg(test)]
mod spec;
#[cfg(test)]
mod tcp;
