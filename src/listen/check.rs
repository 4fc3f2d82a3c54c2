//! Whether a listener could begin: found out without changing anything, also beside one that runs.

use std::io::ErrorKind;

use tokio::net::TcpListener;

use super::ListenError;
use super::config::Config;
use crate::store::inspect::inspect;

/// Looks at the state folder and the address. Gives what is to be known all the same, for people.
///
/// # Errors
/// Where either is not to be had.
pub async fn check(config: &Config) -> Result<Vec<String>, ListenError> {
    let mut warnings: Vec<String> = inspect(&config.state)?.iter().map(ToString::to_string).collect();
    match TcpListener::bind(config.bind).await {
        Ok(_) => {}
        // A configuration is looked at while the listener that it is for goes on.
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            warnings.push(format!("{} is taken now: by this listener, where it runs already", config.bind));
        }
        Err(source) => return Err(ListenError::Bind { address: config.bind, source }),
    }
    Ok(warnings)
}
