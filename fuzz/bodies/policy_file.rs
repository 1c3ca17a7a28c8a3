//! The project file and the policies it says.

use std::path::Path;

use lockgate::config::Project;

/// What is not granted in words is not granted.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // A file that is named would be read.
    if text.contains("file") || text.contains('\\') {
        return;
    }
    let Ok(project) = Project::parse(Path::new("/nowhere/lockgate.toml"), text) else { return };
    for name in project.connections() {
        let Ok(settings) = project.connection(Some(name)) else { continue };
        for side in [&settings.source, &settings.destination] {
            let options = &side.options;
            let Ok(policy) = options.policy(Path::new("/nowhere"), &side.config) else { continue };
            assert!(policy.directories.len() <= options.allow_dir.len());
            assert!(policy.environment.len() <= options.env.len());
            assert!(policy.network.patterns.len() <= options.allow_net.len());
        }
    }
}
