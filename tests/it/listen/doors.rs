//! The dashboard of a listener, to those who know nothing of it: how often they may ask, and what the owner sees of deliveries that led to
//! no run.

use super::*;

struct Door {
    forge: Forge,
    running: Running,
    /// The path of the link that it printed.
    login: String,
}

fn door() -> Door {
    let forge = Forge::script("true");
    let mut running = forge.listener(&[]).env("DOCKER_HOST", "unix:///nonexistent/docker.sock").spawn();
    running.wait_for("/login/");
    wait(|| running.printed().split("/login/").nth(1).is_some_and(|rest| rest.contains('\n')));
    let printed = running.printed();
    let token = printed.split("/login/").nth(1).unwrap().split_whitespace().next().unwrap();
    Door { login: format!("/login/{token}"), forge, running }
}

/// A request for a page, by a proxy that asks for this address.
fn get(forge: &Forge, path: &str, from: &str, more: &[(&str, &str)]) -> (u16, String, String) {
    let host = forge.address.to_string();
    let mut stream = TcpStream::connect(forge.address).unwrap();
    let mut head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nx-forwarded-for: {from}\r\n");
    more.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

#[test]
fn a_stranger_who_guesses_links_or_begins_to_sign_in_again_and_again_locks_out_nobody_else() {
    let Door { forge, running, login } = door();
    let statuses = |path: &str, from: &str, times: usize| -> Vec<u16> {
        (0..times).map(|number| get(&forge, &format!("{path}{number}"), from, &[]).0).collect()
    };
    let guesses = statuses("/login/", "192.0.2.1", 25);
    assert_eq!((guesses[0], guesses[24]), (403, 429));
    // Its own beginning is whatever a client writes; the end is the proxy's.
    assert_eq!(get(&forge, "/login/x", "192.0.2.9, 192.0.2.1", &[]).0, 429);
    assert_eq!(get(&forge, "/login/x", "192.0.2.2", &[]).0, 403);
    let begun = statuses("/sign-in/to/", "192.0.2.1", 25);
    assert_eq!((begun[0], begun[24]), (403, 429));
    assert_eq!(get(&forge, "/sign-in/to/0", "192.0.2.2", &[]).0, 403);
    assert_eq!(get(&forge, &login, "192.0.2.3", &[]).0, 303);
    end(running).exits(0);
}

#[test]
fn deliveries_that_led_to_no_run_are_shown_with_the_reason() {
    let Door { forge, running, login } = door();
    let body = br#"{"action": "opened"}"#;
    let signature = format!("sha256={}", signed(SECRET, body));
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "issues"),
        ("x-hub-signature-256", signature.as_str()),
    ];
    assert_eq!(forge.request("POST", "/webhook", &headers, body).unwrap().body["status"], "ignored");
    let (status, head, _) = get(&forge, &login, "127.0.0.1", &[]);
    assert_eq!(status, 303);
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap().split(';').next().unwrap();
    let (status, _, page) = get(&forge, "/", "127.0.0.1", &[("cookie", cookie)]);
    assert_eq!(status, 200);
    assert!(page.contains("Deliveries that led to no run"), "{page}");
    assert!(page.contains("issues") && page.contains("starts no pipeline"), "{page}");
    end(running).exits(0);
}
