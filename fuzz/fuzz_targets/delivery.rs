//! Any bytes as the body of each forge's events, after its signature was found good.
#![no_main]

use argon::listen::forge::Forge;
use argon::listen::webhook::read;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

const EVENTS: [(Forge, &str, &str); 9] = [
    (Forge::GitHub, "x-github-event", "push"),
    (Forge::GitHub, "x-github-event", "pull_request"),
    (Forge::GitLab, "x-gitlab-event", "Push Hook"),
    (Forge::GitLab, "x-gitlab-event", "Merge Request Hook"),
    (Forge::Gitea, "x-gitea-event", "push"),
    (Forge::Bitbucket, "x-event-key", "repo:push"),
    (Forge::Bitbucket, "x-event-key", "pullrequest:created"),
    (Forge::BitbucketDataCenter, "x-event-key", "repo:refs_changed"),
    (Forge::BitbucketDataCenter, "x-event-key", "pr:opened"),
];

fuzz_target!(|body: &[u8]| {
    for (forge, header, event) in EVENTS {
        let mut headers = HeaderMap::new();
        headers.insert(header, HeaderValue::from_static(event));
        let _ = read(forge, &headers, body);
    }
});
