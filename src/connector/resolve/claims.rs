//! What a name's form and the options ask for, and whether that is one thing.

use super::ResolveError;
use crate::config::{ConnectorOptions, ConnectorReference, UsePython};

/// The ways that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Component,
    Process,
    Python,
    Docker,
    Registered,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The name's own form.
    Name,
    /// An option that says which one it is.
    Option(&'static str),
    /// An option that leaves that to another: `use-python`.
    Open(&'static str),
}

/// A way that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) way: Way,
    pub(super) by: By,
    /// As messages name it.
    pub(super) words: String,
}

/// The one way that is asked for; none where the name is to be looked up.
pub(super) fn claim(
    reference: &ConnectorReference,
    options: &ConnectorOptions,
) -> Result<Option<Claim>, ResolveError> {
    let all = claims(reference, options);
    // Two go together where one says what it is, and the other only how it is run.
    let definite = all.iter().filter(|claim| !matches!(claim.by, By::Open(_))).count();
    let one_way = all.windows(2).all(|pair| pair[0].way == pair[1].way);
    if definite > 1 || !one_way {
        return Err(ResolveError::Ways { asked: all.into_iter().map(|c| c.words).collect() });
    }
    Ok(all.into_iter().min_by_key(|claim| matches!(claim.by, By::Open(_))))
}

fn claims(reference: &ConnectorReference, options: &ConnectorOptions) -> Vec<Claim> {
    use ConnectorReference as R;
    let named = match reference {
        R::Component(path) => {
            Some((Way::Component, format!("the name {} (a component)", path.display())))
        }
        R::Process(program) => Some((Way::Process, format!("the name exec:{program}"))),
        R::Docker(image) => Some((Way::Docker, format!("the name docker:{image}"))),
        // A requirement may hold a password.
        R::Pip(_) => Some((Way::Python, "the name (pip:…)".to_owned())),
        R::Name(_) => None,
    };
    let mut all: Vec<Claim> =
        named.into_iter().map(|(way, words)| Claim { way, by: By::Name, words }).collect();
    let mut option = |asked: bool, way, by: By, words: &str| {
        if asked {
            all.push(Claim { way, by, words: words.to_owned() });
        }
    };
    option(options.component.is_some(), Way::Component, By::Option("component"), "component");
    let local = "local-executable";
    option(options.local_executable.is_some(), Way::Process, By::Option(local), local);
    let image = "docker-image";
    option(options.docker_image.is_some(), Way::Docker, By::Option(image), image);
    option(options.pip_url.is_some(), Way::Python, By::Option("pip-url"), "pip-url");
    let (python, off) = match &options.use_python {
        None => (false, false),
        Some(UsePython::False) => (false, true),
        Some(_) => (true, false),
    };
    option(python, Way::Python, By::Open("use-python"), "use-python");
    option(off, Way::Docker, By::Open("use-python"), "use-python = false");
    option(options.no_executor, Way::Registered, By::Option("no-executor"), "no-executor");
    all
}
