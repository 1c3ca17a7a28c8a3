//! From a name to addresses.

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Turns names into addresses. It is asked about granted names only, and what it answers is judged
/// before anybody sees it.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync {
    /// All addresses of a name, in the order in which they are to be tried.
    ///
    /// # Errors
    /// Whatever kept it from an answer. An empty answer is one, too.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver: its hosts file and its name servers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

/// Questions that may wait for the system at once, of all connectors: each holds a thread, also
/// after whoever asked is gone.
const AT_ONCE: usize = 16;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        static TURNS: LazyLock<Arc<Semaphore>> =
            LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));
        let turn = TURNS.clone().acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let answer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            (name.as_str(), 0).to_socket_addrs().map(|all| all.map(|a| a.ip()).collect())
        });
        answer.await.map_err(io::Error::other)?
    }
}
