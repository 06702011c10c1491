//! The service manager's notification socket: one datagram per message, never waiting.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::os::descriptor::Kept;

/// A socket to send to. Nothing is connected: a manager that starts anew is found again.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: Kept<UnixDatagram>,
    address: SocketAddr,
}

impl NotifySocket {
    /// The socket of this address: a path, or `@` and an abstract name.
    pub(crate) fn open(address: &OsStr) -> io::Result<Self> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] if !name.is_empty() => abstract_address(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => {
                let what = "neither an absolute path nor '@' and a name";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Kept::new(socket)?,
            address,
        })
    }

    /// Sends a message; an error if it cannot be taken now, or the program has closed the
    /// socket.
    pub(crate) fn send(&self, message: &str) -> io::Result<()> {
        let message = message.as_bytes();
        let socket = self.socket.get().ok_or(io::ErrorKind::NotConnected)?;
        match socket.send_to_addr(message, &self.address)? {
            sent if sent == message.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_abstract_names_are_addresses_and_others_are_not() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("notify");
        let name = format!("ebbtide-test-{}", std::process::id());
        let abstract_name = abstract_address(name.as_bytes()).unwrap();
        let servers = [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&abstract_name).unwrap(),
                format!("@{name}").into(),
            ),
        ];
        for (server, address) in servers {
            let socket = NotifySocket::open(&address).unwrap();
            socket.send("READY=1\n").unwrap();
            let mut buffer = [0; 64];
            let length = server.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1\n");
            // Nobody reads: sending ends with an error and does not wait.
            while socket.send("STATUS=more\n").is_ok() {}
        }
        for address in ["", "@", "notify", "vsock:2:1"] {
            assert!(
                NotifySocket::open(OsStr::new(address)).is_err(),
                "{address:?}"
            );
        }
    }
}
