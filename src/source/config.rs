//! The configuration of the workspace's own `.git`: an allow list of the source's, so that nothing in it runs a program, reads
//! another file, or holds a credential.

use gix::bstr::{BStr, ByteSlice};
use gix::config::Source;

use super::address::without_credentials;

/// Keys of `core` that say how the repository is stored and compared.
const CORE: &[&str] = &[
    "abbrev",
    "autocrlf",
    "bigfilethreshold",
    "checkroundtripencoding",
    "checkstat",
    "eol",
    "filemode",
    "ignorecase",
    "precomposeunicode",
    "quotepath",
    "repositoryformatversion",
    "safecrlf",
    "sparsecheckout",
    "sparsecheckoutcone",
    "symlinks",
    "trustctime",
];

/// Keys of `core` that decide whether a file counts as changed: they hold wherever the user has set them.
const CORE_OF_USER: &[&str] = &["autocrlf", "eol", "safecrlf"];

/// Extensions that tell how objects are stored. `worktreeConfig` is not among them: its values are merged in.
const EXTENSIONS: &[&str] = &["compatobjectformat", "noop", "objectformat", "partialclone", "preciousobjects"];

/// What the section's keys are copied by: the section, its keys, and whether the values are URLs.
const SECTIONS: &[(&str, &[&str])] = &[
    ("extensions", EXTENSIONS),
    ("remote", &["fetch", "partialclonefilter", "promisor", "pushurl", "tagopt", "url"]),
    ("branch", &["merge", "rebase", "remote"]),
    ("submodule", &["active", "url"]),
    ("index", &["sparse"]),
];

/// The text of the new configuration file.
pub(super) fn sanitised(repository: &gix::Repository) -> Vec<u8> {
    let snapshot = repository.config_snapshot();
    let mut text = Vec::new();
    // Last one wins, so what the user has comes first. `bare` is what this copy is, not what the source was.
    for source in [Scope::User, Scope::Repository] {
        for section in snapshot.plumbing().sections() {
            let header = section.header();
            let allowed = match (source, lower(header.name()).as_str()) {
                (Scope::User, "core") => CORE_OF_USER,
                (Scope::Repository, "core") => CORE,
                (Scope::Repository, name) => match SECTIONS.iter().find(|(section, _)| *section == name) {
                    Some((_, keys)) => keys,
                    None => continue,
                },
                (Scope::User, _) => continue,
            };
            if Scope::of(section.meta().source) == Some(source) {
                write_section(&mut text, &section, allowed);
            }
        }
    }
    text.extend_from_slice(b"[core]\n\tbare = false\n");
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    User,
    Repository,
}

impl Scope {
    fn of(source: Source) -> Option<Self> {
        match source {
            Source::Local | Source::Worktree => Some(Self::Repository),
            Source::GitInstallation | Source::System | Source::Git | Source::User => Some(Self::User),
            Source::Env | Source::Cli | Source::Api | Source::EnvOverride => None,
        }
    }
}

fn lower(name: &BStr) -> String {
    name.to_str_lossy().to_ascii_lowercase()
}

fn write_section(text: &mut Vec<u8>, section: &gix::config::file::SectionRef<'_>, allowed: &[&str]) {
    let header = section.header();
    let mut lines = Vec::new();
    let mut seen = Vec::new();
    for key in section.value_names() {
        let key = key.to_ascii_lowercase();
        if !allowed.contains(&key.as_str()) || seen.contains(&key) {
            continue;
        }
        let values = section.values(&key);
        if values.is_empty() {
            // A key without `=` is true.
            lines.extend_from_slice(format!("\t{key}\n").as_bytes());
        }
        for value in values {
            let value = match key.as_str() {
                "url" | "pushurl" | "remote" => without_credentials(&value.to_str_lossy()).into_bytes(),
                _ => value.to_vec(),
            };
            lines.extend_from_slice(format!("\t{key} = ").as_bytes());
            quote(&mut lines, &value);
            lines.push(b'\n');
        }
        seen.push(key);
    }
    if lines.is_empty() {
        return;
    }
    text.push(b'[');
    text.extend_from_slice(lower(header.name()).as_bytes());
    if let Some(subsection) = header.subsection_name() {
        text.extend_from_slice(b" \"");
        for byte in subsection.bytes() {
            if matches!(byte, b'"' | b'\\') {
                text.push(b'\\');
            }
            text.push(byte);
        }
        text.push(b'"');
    }
    text.extend_from_slice(b"]\n");
    text.append(&mut lines);
}

/// A value as git reads it back whatever is in it.
fn quote(text: &mut Vec<u8>, value: &[u8]) {
    text.push(b'"');
    for byte in value {
        match byte {
            b'"' | b'\\' => text.extend_from_slice(&[b'\\', *byte]),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\t' => text.extend_from_slice(b"\\t"),
            _ => text.push(*byte),
        }
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_as_git_reads_them() {
        for (value, expected) in
            [("true", r#""true""#), (r#"a "b" \c"#, r#""a \"b\" \\c""#), ("two\nlines # ;", r#""two\nlines # ;""#)]
        {
            let mut text = Vec::new();
            quote(&mut text, value.as_bytes());
            assert_eq!(text.as_bstr(), expected);
        }
    }
}
