//! The SDK as a connector's author sees it.

mod config;
mod files;
mod input;
mod output;
mod spec;
