//! As much of HTTP as a scraper needs: one answer for each connection.
//!
//! Whatever clients do, this much is used at most: `MOST` connections at once, each with a
//! thread of its own, `LONGEST` for each, `HEAD` bytes of request. When a further one comes,
//! the one that has been silent for longest is closed for it (`doors.rs`): idle connections
//! keep nobody out.
//!
//! A page that is served to this host only answers no request that names another host: a
//! web page of elsewhere, whose name was made to lead here, cannot read it through a browser.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::doors::{Doors, Guest};
use crate::exit::Failure;
use crate::output;

/// Connections at once.
const MOST: usize = 16;
/// From the acceptance of a connection to its end.
const LONGEST: Duration = Duration::from_secs(2);
/// Of each thread.
const STACK: usize = 1 << 20;
/// Bytes of request line and headers.
const HEAD: usize = 4096;
/// After an acceptance that failed, for instance for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// The text format's type and version.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves `page` at an address until the process is killed. Prints where.
pub fn serve(
    address: SocketAddr,
    page: &(impl Fn() -> Result<String, String> + Sync),
) -> Result<(), Failure> {
    let failed = |what: &str, error: &std::io::Error| {
        Failure::because(&format!("cannot {what} {address}"), error)
    };
    let listener = TcpListener::bind(address).map_err(|error| failed("listen at", &error))?;
    let bound = listener
        .local_addr()
        .map_err(|error| failed("listen at", &error))?;
    output::emit_line(&format!("http://{bound}/metrics"))?;
    let doors = Doors::new(MOST);
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                std::thread::sleep(PAUSE);
                continue;
            };
            let deadline = Instant::now() + LONGEST;
            let Some(guest) = doors.enter(&stream) else {
                // All the others are being answered.
                continue;
            };
            let spawned =
                std::thread::Builder::new()
                    .stack_size(STACK)
                    .spawn_scoped(scope, move || {
                        // A client that went away is its own concern.
                        let _ = answer(stream, &guest, deadline, bound.ip(), page);
                    });
            if spawned.is_err() {
                std::thread::sleep(PAUSE);
            }
        }
    });
    Ok(())
}

fn answer(
    mut stream: TcpStream,
    guest: &Guest<'_>,
    deadline: Instant,
    here: IpAddr,
    page: &impl Fn() -> Result<String, String>,
) -> std::io::Result<()> {
    let Some(head) = read_head(&mut stream, deadline)? else {
        return write_all(&mut stream, deadline, &response(400, "", "bad request\n"));
    };
    guest.has_asked();
    let response = match route(&head, here) {
        Route::Page { body } => match page() {
            Ok(text) if body => response(200, METRICS, &text),
            Ok(text) => headers(200, METRICS, text.len()),
            Err(message) => response(503, "", &format!("{message}\n")),
        },
        Route::Missing => response(404, "", "the metrics are at /metrics\n"),
        Route::Method => response(405, "", "only GET and HEAD\n"),
        Route::Elsewhere => response(421, "", ELSEWHERE),
        Route::Bad => response(400, "", "bad request\n"),
    };
    write_all(&mut stream, deadline, &response)?;
    stream.shutdown(Shutdown::Write)
}

/// Request line and headers. `None` if they do not end within `HEAD` bytes, or the client
/// says no more.
fn read_head(stream: &mut TcpStream, deadline: Instant) -> std::io::Result<Option<String>> {
    let mut head = Vec::with_capacity(1024);
    let mut chunk = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let count = stream.read(&mut chunk)?;
        head.extend_from_slice(&chunk[..count]);
        let is_whole = head.windows(4).any(|end| end == b"\r\n\r\n");
        let is_whole = is_whole || head.windows(2).any(|end| end == b"\n\n");
        if is_whole {
            return Ok(String::from_utf8(head).ok());
        }
        if count == 0 || head.len() > HEAD {
            return Ok(None);
        }
    }
}

/// In pieces: a client that reads one byte at a time gets no more time by that.
fn write_all(stream: &mut TcpStream, deadline: Instant, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(bytes)? {
            0 => return Err(std::io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(std::io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

#[derive(Debug, PartialEq, Eq)]
enum Route {
    Page {
        body: bool,
    },
    Missing,
    Method,
    /// It names another host.
    Elsewhere,
    Bad,
}

const ELSEWHERE: &str = "these metrics are served to this host only: ask localhost, 127.0.0.1, \
                         [::1] or the address listened at\n";

/// Whether a host, with or without a port, is a name of this one that nobody else can give
/// to another. Names of the network are, where the page is for everybody anyway.
fn is_here(host: &str, here: IpAddr) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let is_own = |address: IpAddr| address.is_loopback() || address == here;
    !here.is_loopback() || name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_own)
}

fn route(head: &str, here: IpAddr) -> Route {
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default();
    let headers = lines.filter_map(|line| line.split_once(':'));
    let mut hosts = headers.filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    // Browsers always say it; what does not is no browser.
    let host = hosts.next();
    if hosts.next().is_some() {
        return Route::Bad;
    }
    if host.is_some_and(|(_, host)| !is_here(host.trim(), here)) {
        return Route::Elsewhere;
    }
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Route::Bad;
    };
    if !version.starts_with("HTTP/1.") || words.next().is_some() {
        return Route::Bad;
    }
    let path = target.split('?').next().unwrap_or_default();
    match (method, path) {
        ("GET", "/metrics" | "/") => Route::Page { body: true },
        ("HEAD", "/metrics" | "/") => Route::Page { body: false },
        ("GET" | "HEAD", _) => Route::Missing,
        _ => Route::Method,
    }
}

fn headers(code: u16, kind: &str, length: usize) -> Vec<u8> {
    let reason = match code {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        503 => "Service Unavailable",
        _ => "Bad Request",
    };
    let kind = if kind.is_empty() {
        "text/plain; charset=utf-8"
    } else {
        kind
    };
    let allow = if code == 405 {
        "Allow: GET, HEAD\r\n"
    } else {
        ""
    };
    format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         {allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

fn response(code: u16, kind: &str, body: &str) -> Vec<u8> {
    let mut response = headers(code, kind, body.len());
    response.extend_from_slice(body.as_bytes());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn only_what_a_scraper_asks_is_answered() {
        let page = Route::Page { body: true };
        let route = |head: &str| route(head, HERE);
        assert_eq!(route("GET /metrics HTTP/1.1\r\n"), page);
        assert_eq!(route("GET /metrics?name[]=x HTTP/1.0\r\n"), page);
        assert_eq!(route("HEAD / HTTP/1.1\r\n"), Route::Page { body: false });
        assert_eq!(route("GET /../etc HTTP/1.1\r\n"), Route::Missing);
        assert_eq!(route("POST /metrics HTTP/1.1\r\n"), Route::Method);
        for bad in [
            "",
            "GET",
            "GET /metrics",
            "GET  /metrics HTTP/1.1",
            "GET / SPDY",
            "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
        ] {
            assert_eq!(route(bad), Route::Bad, "{bad:?}");
        }
    }

    #[test]
    fn only_names_of_this_host_are_answered_unless_everybody_is() {
        let route = |host: &str, here: &str| {
            let head = format!("GET /metrics HTTP/1.1\r\nX: y\r\nhOST: {host}\r\n\r\n");
            super::route(&head, here.parse().unwrap())
        };
        let page = Route::Page { body: true };
        for own in [
            "localhost",
            "LocalHost:9100",
            "127.0.0.1",
            "127.0.0.1:9100",
            "[::1]:9100",
            "127.8.9.1:1",
        ] {
            assert_eq!(route(own, "127.0.0.1"), page, "{own}");
        }
        for other in [
            "",
            "x",
            "evil.example:9100",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.1",
            "[2001:db8::1]:9100",
            "[::1",
        ] {
            assert_eq!(route(other, "127.0.0.1"), Route::Elsewhere, "{other}");
            assert_eq!(route(other, "192.0.2.7"), page, "{other}: exposed");
        }
    }
}
