//! Who we are, proven to the server; with SCRAM, the server proves that it knows us as well.

use fallible_iterator::FallibleIterator as _;
use lockgate_sdk::Failure;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use crate::connection::Connection;
use crate::error::{no_longer, on_server, strange};
use crate::server::Server;
use crate::sql::quote;

const WHAT: &str = "connecting to the database";

/// From the first message to the first that may be asked something. `replicates` asks for a session
/// that may be given the server's log.
pub(crate) fn start(
    connection: &mut Connection,
    server: &Server<'_>,
    replicates: bool,
) -> Result<(), Failure> {
    let name = format!("lockgate {}-postgres", server.side);
    let parameters = [
        ("user", server.username),
        ("database", server.database),
        ("client_encoding", "UTF8"),
        ("application_name", &*name),
        ("replication", "database"),
    ];
    let count = parameters.len() - usize::from(!replicates);
    frontend::startup_message(parameters.into_iter().take(count), &mut connection.outgoing)
        .map_err(strange)?;
    connection.send()?;
    authenticate(connection, server)?;
    loop {
        match connection.receive()? {
            Message::ReadyForQuery(_) => return Ok(()),
            Message::BackendKeyData(_) => {}
            Message::ErrorResponse(body) => {
                let told = on_server(body.fields(), WHAT);
                if replicates && told.state == "42501" {
                    let role = quote(server.username);
                    return Err(Failure::config(format!(
                        "{} may not read the server's log: ALTER ROLE {role} REPLICATION",
                        server.username
                    ))
                    .with_detail(told.failure.message));
                }
                return Err(told.failure);
            }
            _ => return Err(no_longer("it did not begin a session")),
        }
    }
}

fn authenticate(connection: &mut Connection, server: &Server<'_>) -> Result<(), Failure> {
    let mut proof: Option<ScramSha256> = None;
    // Did the server prove that it knows the password?
    let mut proven = false;
    loop {
        match connection.receive()? {
            Message::AuthenticationOk if proof.is_none() || proven => return Ok(()),
            Message::AuthenticationOk => {
                return Err(Failure::config(
                    "the server let us in without proving that it knows the password: it is not the \
                     one that was meant",
                ));
            }
            Message::AuthenticationSasl(body) => {
                let mut mechanisms = body.mechanisms();
                let mut known = false;
                while let Some(mechanism) = mechanisms.next().map_err(strange)? {
                    known |= mechanism == SCRAM_SHA_256;
                }
                if !known || proof.is_some() {
                    return Err(unknown());
                }
                let scram =
                    ScramSha256::new(server.password.as_bytes(), ChannelBinding::unsupported());
                let out = &mut connection.outgoing;
                frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), out)
                    .map_err(strange)?;
                proof = Some(scram);
                connection.send()?;
            }
            Message::AuthenticationSaslContinue(body) => {
                let scram = proof.as_mut().ok_or_else(unknown)?;
                scram.update(body.data()).map_err(strange)?;
                frontend::sasl_response(scram.message(), &mut connection.outgoing)
                    .map_err(strange)?;
                connection.send()?;
            }
            Message::AuthenticationSaslFinal(body) => {
                proof.as_mut().ok_or_else(unknown)?.finish(body.data()).map_err(strange)?;
                proven = true;
            }
            Message::AuthenticationCleartextPassword if proof.is_none() => {
                may_show(connection, server, "in clear")?;
                password(connection, server.password.as_bytes())?;
            }
            Message::AuthenticationMd5Password(body) if proof.is_none() => {
                may_show(connection, server, "as MD5")?;
                let (user, word) = (server.username.as_bytes(), server.password.as_bytes());
                password(connection, md5_hash(user, word, body.salt()).as_bytes())?;
            }
            Message::ErrorResponse(body) => return Err(on_server(body.fields(), WHAT).failure),
            _ => return Err(unknown()),
        }
    }
}

fn may_show(connection: &Connection, server: &Server<'_>, how: &str) -> Result<(), Failure> {
    if connection.is_encrypted() || server.allow_unsafe_password {
        return Ok(());
    }
    Err(Failure::config(format!(
        "the server asks for the password {how} over a connection that is not encrypted: let it use \
         scram-sha-256 or TLS (`sslmode`), or set `allow_unsafe_password`"
    )))
}

fn password(connection: &mut Connection, password: &[u8]) -> Result<(), Failure> {
    frontend::password_message(password, &mut connection.outgoing).map_err(strange)?;
    connection.send()
}

fn unknown() -> Failure {
    Failure::config(
        "the server asks for a way of authenticating that is not supported; scram-sha-256 is",
    )
}
