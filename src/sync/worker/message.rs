//! What parent and worker say to each other. Data only; what may be believed is the supervisor's
//! business.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::RemoteError;
use crate::component::Operation;
use crate::config::{Strategy, StreamOptions, StreamSelection};
use crate::protocol::{Decision, Json, Need, StateError, StateMessage, StreamDescriptor};
use crate::sandbox::fence::{FencePlan, TcpAccess, system_folders};
use crate::sandbox::secrets::Variable;
use crate::sandbox::{
    Access, DirectoryGrant, Limits, NetworkGrants, NetworkPattern, Policy, PolicyError,
};
use crate::state::{StateStoreError, StoredState, SyncNumbers, SyncStart};
use crate::sync::Refresh;
use crate::sync::counters::{NUMBERS, Totals};

/// Of a sync's two connectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Side {
    Source,
    Destination,
}

impl Side {
    /// As the state store knows it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }

    /// Its place where there is one for each.
    pub(super) fn place(self) -> usize {
        match self {
            Self::Source => 0,
            Self::Destination => 1,
        }
    }
}

/// To a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// What to do; the first message.
    Job(Box<JobForm>),
    /// The answer to a question.
    Answer { id: u64, answer: Answer },
    /// Stop.
    Cancel,
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromWorker {
    /// A connector said something.
    Log { side: Side, level: String, message: String },
    /// The sandbox decided something.
    Decided { side: Side, decision: Decision },
    /// A connector's operation began.
    Began { side: Side, operation: Operation },
    /// What a connector says it needs, and its schema.
    Needs { side: Side, needs: Vec<Need>, schema: Json },
    /// It ended.
    Ended { side: Side, operation: Operation },
    /// A question; its sender waits for the answer.
    Ask { id: u64, question: Question },
    /// Rows begin to move.
    Started(PlanForm),
    /// What has moved since it was said last.
    Counts(CountsForm),
    /// The last message.
    Finished { result: Result<(), RemoteError> },
}

/// What a worker cannot do itself. Nothing here names a connection: it is the parent's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question {
    BeginSync {
        start: SyncStart,
    },
    Complete {
        streams: Vec<StreamDescriptor>,
    },
    /// None: the states of all streams.
    Clear {
        streams: Option<Vec<StreamDescriptor>>,
    },
    Load,
    Store {
        states: Vec<StateForm>,
    },
    ChangedConfig {
        side: Side,
        digest: String,
    },
    ChangeConfig {
        side: Side,
        digest: String,
        members: Json,
    },
    UpdateConfig {
        side: Side,
        config: Json,
    },
    Resolve {
        side: Side,
        name: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    Numbers(SyncNumbers),
    States(Vec<StateForm>),
    Config(Option<Json>),
    Addresses(Vec<IpAddr>),
    StoreFault(StoreFault),
    Failed(String),
}

/// A sync.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct JobForm {
    /// Of the program: both must be the same.
    pub(super) version: String,
    pub(super) source: SideForm,
    pub(super) destination: SideForm,
    pub(super) connection: String,
    pub(super) streams: StreamSelection,
    pub(super) strategy: Strategy,
    pub(super) full_refresh: bool,
    pub(super) refresh: Option<Refresh>,
    pub(super) clear: bool,
    pub(super) stream_options: BTreeMap<String, StreamOptions>,
    /// It is another attempt of this sync.
    pub(super) again: Option<u64>,
    pub(super) idle_time: Option<Duration>,
}

/// One of its connectors. Its code comes as a descriptor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SideForm {
    pub(super) name: String,
    pub(super) path: OsString,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) config: Json,
    /// What it changed of it meanwhile.
    pub(super) changed: Option<Json>,
    pub(super) policy: PolicyForm,
    /// The folder of compiled code, which no guest may have.
    pub(super) cache: Option<OsString>,
    /// What its configuration and its variables refer to: `env:NAME` and its value.
    pub(super) secrets: HashMap<String, String>,
}

/// A policy. The fence is not in it: that is put up before the worker runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PolicyForm {
    /// Host path, guest path, whether it may be written to.
    directories: Vec<(OsString, String, bool)>,
    environment: Vec<(String, String)>,
    network: Vec<String>,
    tls_roots: Vec<OsString>,
    allow_missing_needs: bool,
    limits: Limits,
}

impl PolicyForm {
    pub(super) fn of(policy: &Policy) -> Self {
        let directory = |d: &DirectoryGrant| {
            (d.host.clone().into_os_string(), d.guest.clone(), d.access == Access::ReadWrite)
        };
        Self {
            directories: policy.directories.iter().map(directory).collect(),
            environment: policy
                .environment
                .iter()
                .map(|(name, value)| (name.clone(), value.written().to_owned()))
                .collect(),
            network: policy.network.patterns.iter().map(|p| p.text().to_owned()).collect(),
            tls_roots: policy.network.tls_roots.iter().map(|p| p.clone().into()).collect(),
            allow_missing_needs: policy.allow_missing_needs,
            limits: policy.limits.clone(),
        }
    }

    /// What the kernel has to leave open for it.
    pub(super) fn open(&self, plan: &mut FencePlan) {
        for (host, _, writes) in &self.directories {
            if *writes { &mut plan.write } else { &mut plan.read }.push(host.into());
        }
        if self.network.is_empty() {
            return;
        }
        // The gate decides on addresses and ports, and the parent looks names up; what certificates
        // are trusted is in these folders.
        plan.connect = TcpAccess::Any;
        plan.read.extend(system_folders());
        plan.read.extend(self.tls_roots.iter().map(PathBuf::from));
    }

    pub(super) fn policy(self) -> Result<Policy, PolicyError> {
        let mut policy = Policy {
            limits: self.limits,
            allow_missing_needs: self.allow_missing_needs,
            ..Policy::default()
        };
        for (host, guest, writes) in self.directories {
            let access = if writes { Access::ReadWrite } else { Access::Read };
            let host = PathBuf::from(host);
            policy.grant_directory(DirectoryGrant { host, guest, access })?;
        }
        let variables = self.environment.into_iter();
        policy.environment = variables.map(|(n, value)| (n, Variable::new(&value))).collect();
        // Whether `*` is allowed was asked when the operator wrote it.
        let patterns = self.network.iter().map(|text| NetworkPattern::parse(text, true));
        policy.network = NetworkGrants {
            patterns: patterns.collect::<Result<_, _>>()?,
            tls_roots: self.tls_roots.into_iter().map(PathBuf::from).collect(),
        };
        Ok(policy)
    }
}

/// What moves, as far as reports and progress need it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PlanForm {
    /// Name and version, as each connector gives them.
    pub(super) source: (String, String),
    pub(super) destination: (String, String),
    pub(super) streams: Vec<StreamForm>,
    pub(super) notes: Vec<String>,
    pub(super) resumed: bool,
    /// The destination keeps the rows of a generation that was not completed.
    pub(super) rows_stay: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StreamForm {
    pub(super) descriptor: StreamDescriptor,
    /// Airbyte's words.
    pub(super) sync_mode: String,
    pub(super) destination_sync_mode: String,
    pub(super) generation_id: u64,
    pub(super) minimum_generation_id: u64,
    pub(super) sync_id: u64,
}

/// Counts of the streams that moved.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CountsForm {
    /// A stream's place in the plan, and its counts in the order of
    /// [`StreamCounters`](crate::sync::StreamCounters).
    pub(super) streams: Vec<(usize, [u64; NUMBERS])>,
    pub(super) totals: Totals,
}

/// A stored state.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StateForm {
    body: Json,
    of_full_read: bool,
    generations: Vec<(StreamDescriptor, u64)>,
}

impl StateForm {
    pub(super) fn of(stored: &StoredState) -> Self {
        let generations = stored.generations.iter().map(|(stream, n)| (stream.clone(), *n));
        Self {
            body: stored.state.body().clone(),
            of_full_read: stored.of_full_read,
            generations: generations.collect(),
        }
    }

    pub(super) fn stored(self) -> Result<StoredState, StateError> {
        let state = StateMessage::from_airbyte(self.body)?;
        let generations = self.generations.into_iter().collect();
        Ok(StoredState { state, of_full_read: self.of_full_read, generations })
    }
}

/// An error of the state store.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StoreFault {
    Database { path: OsString, reason: String },
    Server { server: String, reason: String },
    Unreadable { path: OsString, reason: String },
    Layout { path: OsString, found: i64, known: i64 },
    Damaged { path: OsString, connection: String, reason: String },
    Held { connection: String, holder: String, since: String, until: String },
    Lost { connection: String },
}

impl From<StateStoreError> for StoreFault {
    fn from(error: StateStoreError) -> Self {
        match error {
            StateStoreError::Database { path, reason } => {
                Self::Database { path: path.into(), reason }
            }
            StateStoreError::Server { server, reason } => Self::Server { server, reason },
            StateStoreError::Unreadable { path, reason } => {
                Self::Unreadable { path: path.into(), reason }
            }
            StateStoreError::Layout { path, found, known } => {
                Self::Layout { path: path.into(), found, known }
            }
            StateStoreError::Damaged { path, connection, reason } => {
                Self::Damaged { path: path.into(), connection, reason }
            }
            StateStoreError::Held { connection, holder, since, until } => {
                Self::Held { connection, holder, since, until }
            }
            StateStoreError::Lost { connection } => Self::Lost { connection },
        }
    }
}

impl From<StoreFault> for StateStoreError {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Database { path, reason } => Self::Database { path: path.into(), reason },
            StoreFault::Server { server, reason } => Self::Server { server, reason },
            StoreFault::Unreadable { path, reason } => {
                Self::Unreadable { path: path.into(), reason }
            }
            StoreFault::Layout { path, found, known } => {
                Self::Layout { path: path.into(), found, known }
            }
            StoreFault::Damaged { path, connection, reason } => {
                Self::Damaged { path: path.into(), connection, reason }
            }
            StoreFault::Held { connection, holder, since, until } => {
                Self::Held { connection, holder, since, until }
            }
            StoreFault::Lost { connection } => Self::Lost { connection },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_policy_is_the_same_elsewhere() {
        let mut policy = Policy::default();
        let odd = PathBuf::from(OsString::from_vec(b"/a/\xff::b".to_vec()));
        let grant = DirectoryGrant { host: odd, guest: "/in".into(), access: Access::Read };
        policy.grant_directory(grant).unwrap();
        policy.allow_env("A=b").unwrap();
        policy.allow_net("db.example:5432", &serde_json::Value::Null, false).unwrap();
        policy.allow_net("*:443", &serde_json::Value::Null, true).unwrap();
        policy.network.tls_roots.push("/root.pem".into());
        policy.limits.cpu_time = Some(Duration::from_millis(1500));
        policy.limits.memory_bytes = 12345;
        let text = serde_json::to_string(&PolicyForm::of(&policy)).unwrap();
        let form: PolicyForm = serde_json::from_str(&text).unwrap();
        assert_eq!(form.policy().unwrap(), policy);
    }

    #[test]
    fn a_state_is_the_same_elsewhere() {
        let body = r#"{"type":"STREAM","stream":{"stream_descriptor":{"name":"a"},"stream_state":{"n":123456789012345678901234567890}},"x":[1.0]}"#;
        let state = StateMessage::from_airbyte(Json::parse(body).unwrap()).unwrap();
        let generations = [(StreamDescriptor::new("a"), 7)].into();
        let form = StateForm::of(&StoredState { state, of_full_read: true, generations });
        let message = FromWorker::Ask { id: 1, question: Question::Store { states: vec![form] } };
        let text = serde_json::to_vec(&message).unwrap();
        let Ok(FromWorker::Ask { question: Question::Store { mut states }, .. }) =
            serde_json::from_slice(&text)
        else {
            panic!("another message")
        };
        let stored = states.remove(0).stored().unwrap();
        assert_eq!(stored.state.body().get(), body);
        assert!(stored.of_full_read);
        assert_eq!(stored.generations[&StreamDescriptor::new("a")], 7);
    }
}
