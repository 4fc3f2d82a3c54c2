//! Deliveries: which are taken for genuine, and what they say.

use argon::listen::forge::Forge;
use argon::listen::webhook::{BadDelivery, Claim, Origin, Refusal, Says, Secret, check_form, processed, read};
use argon::trigger::EventKind;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use proptest::prelude::*;
use sha2::Sha256;

pub(crate) const SECRET: &str = "a secret of the tests";

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/events/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// `HEX` of the body's signature by `key`.
pub(crate) fn signed(key: &str, body: &[u8]) -> String {
    hex::encode(mac(key.as_bytes(), &[body]))
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value);
    }
    headers
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn secrets() -> Vec<Secret> {
    vec![Secret::new("another secret, tried first").unwrap(), Secret::new(SECRET).unwrap()]
}

fn authenticate(headers: &HeaderMap, body: &[u8], secrets: &[Secret], now: Timestamp) -> Result<Forge, Refusal> {
    let claim = Claim::read(headers, now)?;
    claim.check(body, secrets).map(|_| claim.forge)
}

fn sender(pairs: &[(&str, &str)], body: &[u8]) -> Option<Forge> {
    authenticate(&headers(pairs), body, &secrets(), now()).ok()
}

#[test]
fn each_forges_signature_is_taken() {
    let body = br#"{"a": 1}"#;
    let hex = signed(SECRET, body);
    let prefixed = format!("sha256={hex}");
    for (pairs, forge) in [
        (vec![("x-github-event", "push"), ("x-hub-signature-256", prefixed.as_str())], Forge::GitHub),
        (vec![("x-gitea-event", "push"), ("x-github-event", "push"), ("x-gitea-signature", &hex)], Forge::Gitea),
        (vec![("x-forgejo-event", "push"), ("x-forgejo-signature", &hex)], Forge::Gitea),
        (vec![("x-gitea-event", "push"), ("x-hub-signature-256", &prefixed)], Forge::Gitea),
        (vec![("x-gogs-event", "push"), ("x-gogs-signature", &hex)], Forge::Gitea),
        (
            vec![
                ("x-gitea-event", "push"),
                ("x-gitea-signature", &hex),
                ("x-gogs-signature", &hex),
                ("x-hub-signature-256", &prefixed),
            ],
            Forge::Gitea,
        ),
        (vec![("x-gitlab-event", "Push Hook"), ("x-gitlab-token", SECRET)], Forge::GitLab),
        (vec![("x-event-key", "repo:push"), ("x-hub-signature", &prefixed)], Forge::Bitbucket),
        (vec![("x-event-key", "repo:refs_changed"), ("x-hub-signature", &prefixed)], Forge::BitbucketDataCenter),
    ] {
        assert_eq!(sender(&pairs, body), Some(forge), "{pairs:?}");
        assert_eq!(
            sender(&pairs, br#"{"a": 2}"#).is_some(),
            forge == Forge::GitLab,
            "a token signs no body: {pairs:?}"
        );
    }
}

#[test]
fn gitlabs_signed_form_counts_its_id_its_time_and_its_body() {
    let body = b"{}";
    let key = b"0123456789abcdef01234567";
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(key));
    let secrets = [Secret::new(&secret).unwrap()];
    let (time, late) = (now().as_second().to_string(), (now().as_second() - 301).to_string());
    let sign = |id: &str, time: &str| {
        let mac = mac(key, &[id.as_bytes(), b".", time.as_bytes(), b".", body]);
        let other = BASE64_STANDARD.encode([7; 32]);
        format!("v1,bm90IHRoaXMgb25l v2,x v1,{other} v1,{}", BASE64_STANDARD.encode(mac))
    };
    let try_with = |id: &str, time: &str, signature: &str| {
        let pairs = [
            ("x-gitlab-event", "Push Hook"),
            ("webhook-id", id),
            ("webhook-timestamp", time),
            ("webhook-signature", signature),
        ];
        authenticate(&headers(&pairs), body, &secrets, now()).is_ok()
    };
    assert!(try_with("m1", &time, &sign("m1", &time)));
    assert!(!try_with("m2", &time, &sign("m1", &time)));
    assert!(!try_with("m1", &late, &sign("m1", &late)), "too old");
    assert!(!try_with("m1", "soon", &sign("m1", "soon")));
    assert!(!try_with("m1", &time, "v1,"));
    // Each would be compared: a body of 25 MB must not be gone through as often as somebody likes.
    let many = format!("{} ", sign("m1", &time)).repeat(5);
    assert!(!try_with("m1", &time, &many), "more signatures than anybody has secrets");
}

/// FAULTS 30.
#[test]
fn whatever_is_wrong_with_a_signature_it_is_refused() {
    let body = br#"{"a": 1}"#;
    let good = format!("sha256={}", signed(SECRET, body));
    let event = ("x-github-event", "push");
    let upper = format!("sha256={}", signed(SECRET, body).to_uppercase());
    let wrong = format!("sha256={}", signed("quite another secret", body));
    for pairs in [
        vec![event],
        vec![event, ("x-hub-signature", "sha1=0123456789abcdef0123456789abcdef01234567")],
        vec![event, ("x-hub-signature-256", &good), ("x-hub-signature-256", &good)],
        vec![event, ("x-hub-signature-256", &upper)],
        vec![event, ("x-hub-signature-256", &wrong)],
        vec![event, ("x-hub-signature-256", &good[..70])],
        vec![event, ("x-hub-signature-256", &good[7..])],
        vec![("x-gitea-event", "push"), ("x-gitea-signature", &good[7..]), ("x-hub-signature-256", &wrong)],
        vec![event, ("x-hub-signature-256", "sha256=")],
        vec![event, ("x-hub-signature-256", "sha256=ÿäö")],
        vec![event, ("x-gitlab-event", "Push Hook"), ("x-hub-signature-256", &good)],
        vec![event, ("x-event-key", "repo:push"), ("x-hub-signature-256", &good)],
        vec![("x-hub-signature-256", &good)],
        vec![("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "a secret of the test")],
        vec![("x-gitlab-event", "Push Hook")],
        vec![],
    ] {
        assert_eq!(sender(&pairs, body), None, "{pairs:?}");
    }
    assert!(Secret::new("too short").is_none());
    assert!(!format!("{:?}", secrets()).contains(SECRET));
}

#[test]
fn no_mutation_of_a_body_or_its_signature_is_taken() {
    let body = fixture("github-push");
    let hex = signed(SECRET, &body);
    let taken = |hex: &str, body: &[u8]| {
        sender(&[("x-github-event", "push"), ("x-hub-signature-256", &format!("sha256={hex}"))], body).is_some()
    };
    assert!(taken(&hex, &body));
    for at in 0..hex.len() {
        let digit = if &hex[at..=at] == "0" { "1" } else { "0" };
        assert!(!taken(&format!("{}{digit}{}", &hex[..at], &hex[at + 1..]), &body));
    }
    for at in 0..body.len() {
        let mut other = body.clone();
        other[at] ^= 1;
        assert!(!taken(&hex, &other));
    }
    assert!(!taken(&hex, &body[..body.len() - 1]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn nothing_forged_is_taken_and_nothing_panics(
        names in prop::collection::vec(prop::sample::select(vec![
            "x-github-event", "x-gitea-event", "x-gitlab-event", "x-event-key", "x-hub-signature-256", "x-hub-signature",
            "x-gitea-signature", "x-gitlab-token", "webhook-id", "webhook-timestamp", "webhook-signature", "content-type",
        ]), 0..8),
        values in prop::collection::vec(prop::collection::vec(32u8..=255, 0..80), 8),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in names.iter().zip(&values) {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        prop_assert!(authenticate(&map, &body, &secrets(), now()).is_err());
        for forge in Forge::ALL {
            let _ = read(*forge, &map, &body);
        }
        let _ = check_form(&map);
    }
}

fn says(forge: Forge, event: &str, body: &[u8]) -> Result<Says, BadDelivery> {
    let name = match forge {
        Forge::GitHub => "x-github-event",
        Forge::GitLab => "x-gitlab-event",
        Forge::Gitea => "x-gitea-event",
        Forge::Bitbucket | Forge::BitbucketDataCenter => "x-event-key",
    };
    read(forge, &headers(&[(name, event)]), body).map(|delivery| delivery.says)
}

#[test]
fn what_starts_a_pipeline_is_told_from_what_does_not() {
    use EventKind::{PullRequest, Push};
    for (forge, event, body, kind) in [
        (Forge::GitHub, "push", "github-push", Some(Push)),
        (Forge::GitHub, "push", "github-push-tag", Some(Push)),
        (Forge::GitHub, "push", "github-push-deleted", None),
        (Forge::GitHub, "pull_request", "github-pull-request", Some(PullRequest)),
        (Forge::GitHub, "ping", "github-push", None),
        (Forge::GitHub, "issues", "github-push", None),
        (Forge::GitLab, "Push Hook", "gitlab-push", Some(Push)),
        (Forge::GitLab, "Tag Push Hook", "gitlab-tag-push", Some(Push)),
        (Forge::GitLab, "Merge Request Hook", "gitlab-merge-request", Some(PullRequest)),
        (Forge::Gitea, "push", "gitea-push", Some(Push)),
        (Forge::Gitea, "pull_request", "gitea-pull-request", Some(PullRequest)),
        (Forge::Bitbucket, "repo:push", "bitbucket-push", Some(Push)),
        (Forge::Bitbucket, "repo:push", "bitbucket-push-deleted", None),
        (Forge::Bitbucket, "pullrequest:created", "bitbucket-pull-request", Some(PullRequest)),
        (Forge::BitbucketDataCenter, "repo:refs_changed", "bitbucket-data-center-push", Some(Push)),
        (Forge::BitbucketDataCenter, "pr:opened", "bitbucket-data-center-pull-request", Some(PullRequest)),
    ] {
        match (says(forge, event, &fixture(body)).unwrap(), kind) {
            (Says::Happened(happened), Some(kind)) => assert_eq!(happened.trigger.kind, kind, "{body}"),
            (Says::Ping | Says::Ignored(_) | Says::Gone(_), None) => {}
            (other, _) => panic!("{event} of {body}: {other:?}"),
        }
    }
}

#[test]
fn a_deletion_says_what_is_gone_and_where_it_was() {
    let before = Some("9049f1265b7d61be4a8904a9a27120d2064dab3b");
    let event = |name: &str| serde_json::from_slice::<serde_json::Value>(&fixture(name)).unwrap();
    let mut data_center = event("bitbucket-data-center-push");
    data_center["changes"][0]["fromHash"] = before.into();
    data_center["changes"][0]["toHash"] = "0".repeat(40).into();
    let gitea = serde_json::json!({"ref": "v1", "ref_type": "tag", "repository": {"full_name": "team/app"}});
    for (forge, kind, payload, reference, commit) in [
        (Forge::GitHub, "push", event("github-push-deleted"), "refs/heads/feature/login", before),
        (Forge::Bitbucket, "repo:push", event("bitbucket-push-deleted"), "refs/heads/main", before),
        (Forge::BitbucketDataCenter, "repo:refs_changed", data_center, "refs/heads/main", before),
        (Forge::Gitea, "delete", gitea, "refs/tags/v1", None),
    ] {
        let said = says(forge, kind, payload.to_string().as_bytes()).unwrap();
        let Says::Gone(gone) = said else { panic!("{said:?}") };
        assert_eq!((gone.reference.as_str(), gone.commit.as_deref()), (reference, commit));
        assert!(!gone.repository.is_empty(), "{gone:?}");
    }
}

#[test]
fn a_pull_request_of_another_repository_is_a_forks_and_one_that_was_closed_brings_nothing() {
    let change = |path: &str, value: &str| {
        let mut body: serde_json::Value = serde_json::from_slice(&fixture("github-pull-request")).unwrap();
        *body.pointer_mut(path).unwrap() = value.into();
        says(Forge::GitHub, "pull_request", body.to_string().as_bytes()).unwrap()
    };
    let Says::Happened(forked) = change("/pull_request/head/repo/full_name", "mallory/app") else { panic!() };
    assert_eq!(forked.origin, Origin::Fork);
    let Says::Happened(unnamed) = change("/pull_request/head/repo", "gone") else { panic!() };
    assert_eq!(unnamed.origin, Origin::Fork, "a payload that does not say is taken for a fork's");
    assert!(matches!(change("/action", "closed"), Says::Ignored(why) if why.contains("closed")));
    let mut own: serde_json::Value = serde_json::from_slice(&fixture("github-pull-request")).unwrap();
    for side in ["head", "base"] {
        own["pull_request"][side]["repo"] = serde_json::json!({"full_name": "octo/app"});
    }
    let Says::Happened(own) = says(Forge::GitHub, "pull_request", own.to_string().as_bytes()).unwrap() else {
        panic!()
    };
    assert_eq!(own.origin, Origin::Own);
}

/// FAULTS 31 and 36.
#[test]
fn payloads_that_are_not_what_they_should_be_are_told_as_such() {
    let deep = "[".repeat(10_000);
    for body in ["", "{", "[]", "null", "{\"a\":", deep.as_str(), "{}"] {
        assert!(matches!(says(Forge::GitHub, "push", body.as_bytes()), Err(BadDelivery::Payload(_))), "{body:.20}");
    }
    for name in ["--upload-pack=touch /tmp/x", "a..b", "a b", "a~1", "x.lock", "a\u{7f}", "@{-1}", "a:b"] {
        let mut body: serde_json::Value = serde_json::from_slice(&fixture("github-push")).unwrap();
        body["ref"] = format!("refs/heads/{name}").into();
        let said = says(Forge::GitHub, "push", body.to_string().as_bytes());
        assert!(said.is_err(), "{name}: {said:?}");
    }
}

#[test]
fn bodies_that_are_not_json_or_compressed_are_refused_by_their_headers() {
    let form = |pairs: &[(&str, &str)]| check_form(&headers(pairs));
    assert!(form(&[("content-type", "application/json")]).is_ok());
    assert!(form(&[("content-type", "Application/JSON; charset=utf-8"), ("content-encoding", "identity")]).is_ok());
    assert!(matches!(form(&[]), Err(BadDelivery::ContentType { .. })));
    assert!(matches!(form(&[("content-type", "text/plain")]), Err(BadDelivery::ContentType { .. })));
    assert!(form(&[("content-type", "application/x-www-form-urlencoded")]).is_ok());
    let gzip = form(&[("content-type", "application/json"), ("content-encoding", "gzip")]);
    assert!(matches!(gzip, Err(BadDelivery::ContentEncoding { .. })));
}

#[test]
fn a_form_is_read_by_its_payload() {
    let headers = headers(&[("content-type", "application/x-www-form-urlencoded; charset=utf-8")]);
    let of = |body: &[u8]| argon::listen::webhook::payload(&headers, body).map(std::borrow::Cow::into_owned).ok();
    assert_eq!(of(b"a=1&payload=%7B%22ref%22%3A+%22x%26y%22%7D").unwrap(), br#"{"ref": "x&y"}"#);
    for bad in [&b"a=1"[..], b"", b"payload", &[0xff, 0xfe]] {
        assert!(of(bad).is_none_or(|payload| payload.is_empty()), "{bad:?}");
    }
}

#[test]
fn what_is_handed_on_has_the_originals_fields_and_the_configured_address() {
    let Says::Happened(happened) = says(Forge::GitHub, "push", &fixture("github-push")).unwrap() else { panic!() };
    let handed = processed(&happened.trigger, "https://example.com/team/app.git", "github", now());
    let mut keys: Vec<&str> = handed.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "baseBranch",
            "branch",
            "commitId",
            "commitMessage",
            "event",
            "projectType",
            "pusherEmail",
            "pusherName",
            "repoName",
            "repositoryUrl",
            "tag",
            "timestamp",
            "triggerSource",
        ]
    );
    assert_eq!(handed["repositoryUrl"], "https://example.com/team/app.git");
    assert_eq!((&handed["repoName"], &handed["triggerSource"]), (&"app".into(), &"github".into()));
    assert_eq!(handed["projectType"], "python", "the forge's word for the repository's language");
    assert!(!happened.repository.is_empty(), "the payload's names tell which repository is meant");
}
