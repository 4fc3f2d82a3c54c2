//! The invariants of docs/architecture.md, held against the source: what a module must never do or know.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Words that only some of the source may hold.
struct Rule {
    /// What is held, in the words of docs/architecture.md.
    says: &'static str,
    /// Paths below `src/` that it holds for. Empty: all of them.
    within: &'static [&'static str],
    /// Paths below `src/` that may.
    except: &'static [&'static str],
    /// What must not stand there.
    words: &'static [&'static str],
}

/// Every path is the beginning of one, so `cli` is `cli.rs` and all of `cli/`.
const RULES: &[Rule] = &[
    Rule {
        says: "`pipeline` and `plan` do no IO, and are not async",
        within: &["pipeline", "plan"],
        except: &[],
        words: &[
            "std::fs",
            "std::io",
            "std::env",
            "std::process",
            "std::thread",
            "TcpStream",
            "UnixStream",
            "tokio",
            "async ",
            ".await",
            "Instant::now",
            "SystemTime",
        ],
    },
    Rule { says: "only `engine/docker` imports bollard", within: &[], except: &["engine/docker"], words: &["bollard"] },
    Rule {
        says: "`dockerfile` knows no other room, does no IO, and is not async",
        within: &["dockerfile"],
        except: &[],
        words: &["crate::", "std::fs", "std::io", "std::env", "tokio", "async ", ".await"],
    },
    Rule { says: "only `source` imports gix", within: &[], except: &["source"], words: &["gix::"] },
    Rule {
        says: "only `pipeline` reads YAML",
        within: &[],
        except: &["pipeline"],
        words: &["granit_parser", "serde_saphyr"],
    },
    Rule { says: "only `cli` writes YAML", within: &[], except: &["cli"], words: &["serde_yaml"] },
    Rule {
        says: "only the binary knows the command line",
        within: &[],
        except: &["main.rs", "cli"],
        words: &["clap::", "clap_"],
    },
    Rule {
        says: "only the binary prints or exits",
        within: &[],
        except: &["main.rs", "cli"],
        words: &["println!", "print!(", "process::exit", "ExitCode"],
    },
    Rule {
        says: "only the binary draws diagnostics; `pipeline` and `execute` know no colours",
        within: &["pipeline", "plan", "execute", "engine", "source"],
        except: &[],
        words: &["miette", "console::", "indicatif", "\\x1b"],
    },
    Rule {
        says: "only `listen` and the binary know `store`",
        within: &["pipeline", "plan", "trigger", "repository", "source", "engine", "execute", "sinks", "lsp", "event"],
        except: &[],
        words: &["crate::store"],
    },
    Rule {
        says: "only the binary knows `listen`",
        within: &[],
        except: &["listen", "cli", "main.rs"],
        words: &["crate::listen"],
    },
    Rule {
        says: "only `listen`, `lsp` and the binary read a pipeline file from disk",
        within: &["pipeline", "plan", "source", "engine", "execute", "sinks", "store"],
        except: &[],
        words: &["crate::repository"],
    },
    Rule { says: "only `listen` speaks HTTP as a server", within: &[], except: &["listen"], words: &["axum"] },
    Rule { says: "only `store` holds SQL", within: &[], except: &["store"], words: &["rusqlite"] },
    Rule {
        says: "`pipeline` knows `glob` alone",
        within: &["pipeline"],
        except: &[],
        words: &[
            "crate::plan",
            "crate::event",
            "crate::source",
            "crate::engine",
            "crate::execute",
            "crate::sinks",
            "crate::lsp",
        ],
    },
    Rule {
        says: "`repository` knows `pipeline` and `source` alone",
        within: &["repository"],
        except: &[],
        words: &[
            "crate::plan",
            "crate::event",
            "crate::engine",
            "crate::execute",
            "crate::sinks",
            "crate::store",
            "crate::lsp",
        ],
    },
    Rule {
        says: "`lsp` knows `pipeline` alone",
        within: &["lsp"],
        except: &[],
        words: &["crate::plan", "crate::event", "crate::source", "crate::engine", "crate::execute", "crate::sinks"],
    },
    Rule {
        says: "`lsp` starts no program and asks no network",
        within: &["lsp"],
        except: &[],
        words: &["std::process", "Command::new", "TcpStream", "UnixStream", "std::net", "tokio"],
    },
    Rule {
        says: "only `lsp` speaks the editors' protocol",
        within: &[],
        except: &["lsp"],
        words: &["lsp_types", "lsp_server"],
    },
    Rule {
        says: "`plan` knows `pipeline` and `event` alone",
        within: &["plan"],
        except: &[],
        words: &["crate::source", "crate::engine", "crate::execute", "crate::sinks"],
    },
    Rule {
        says: "`engine` and `source` know `event` alone",
        within: &["engine", "source"],
        except: &[],
        words: &["crate::pipeline", "crate::plan", "crate::execute", "crate::sinks"],
    },
    Rule {
        says: "`glob` and `trigger` do no IO, and are not async",
        within: &["glob", "trigger"],
        except: &[],
        words: &["std::fs", "std::io", "std::env", "std::process", "std::thread", "tokio", "async ", ".await"],
    },
    Rule { says: "`glob` knows no other room", within: &["glob"], except: &[], words: &["crate::"] },
    Rule {
        says: "`trigger` knows `pipeline`, `event`, `glob`, and of `source` what to compare it with",
        within: &["trigger"],
        except: &[],
        words: &[
            "crate::plan",
            "crate::engine",
            "crate::execute",
            "crate::sinks",
            "source::open",
            "source::Workspace",
            "source::include",
        ],
    },
    Rule { says: "`execute` knows no sink", within: &["execute"], except: &[], words: &["crate::sinks"] },
    Rule {
        says: "`execute` knows no certain engine",
        within: &["execute"],
        except: &[],
        words: &["docker::", "Docker::", "Docker>"],
    },
    Rule {
        says: "sinks know `event` alone",
        within: &["sinks"],
        except: &[],
        words: &["crate::pipeline", "crate::plan", "crate::source", "crate::engine", "crate::execute"],
    },
    Rule {
        says: "`listen/webhook` does no IO, and is not async",
        within: &["listen/webhook"],
        except: &[],
        words: &["std::fs", "std::io", "std::env", "std::process", "std::thread", "tokio", "async ", ".await"],
    },
    Rule { says: "only `listen/notify` speaks SMTP", within: &[], except: &["listen/notify"], words: &["lettre::"] },
    Rule {
        says: "`listen/notify` knows no store, and keeps nothing",
        within: &["listen/notify"],
        except: &[],
        words: &["crate::store", "fs::write", "File::create", "OpenOptions"],
    },
    Rule {
        says: "`store` knows `event`, `sinks` and `artifact` alone",
        within: &["store"],
        except: &[],
        words: &[
            "crate::pipeline",
            "crate::plan",
            "crate::source",
            "crate::engine",
            "crate::execute",
            "crate::trigger",
            "crate::listen",
        ],
    },
    Rule {
        says: "`secrets` knows `plan` alone",
        within: &["secrets"],
        except: &[],
        words: &["crate::execute", "crate::engine", "crate::source", "crate::store", "crate::event", "crate::pipeline"],
    },
    Rule { says: "`artifact` knows no other room", within: &["artifact"], except: &[], words: &["crate::"] },
    Rule {
        says: "nothing of Argon is unsafe",
        within: &[],
        except: &[],
        words: &["unsafe {", "unsafe fn", "static mut"],
    },
];

/// The lines of a file that break a rule, as `path:line: what`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let begins = |prefixes: &[&str]| {
        prefixes.iter().any(|prefix| {
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.']) || prefix.ends_with('/'))
        })
    };
    let rules: Vec<&Rule> =
        RULES.iter().filter(|rule| (rule.within.is_empty() || begins(rule.within)) && !begins(rule.except)).collect();
    let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
    code.enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .flat_map(|(at, line)| {
            let broken = rules.iter().filter(move |rule| rule.words.iter().any(|word| line.contains(word)));
            broken.map(move |rule| format!("src/{path}:{}: {}: {}", at + 1, rule.says, line.trim()))
        })
        .collect()
}

/// All Rust files below `folder`, tests left out.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match path.file_name().unwrap().to_str().unwrap() {
            "tests" | "tests.rs" | "snapshots" => {}
            _ if path.is_dir() => found.extend(sources(&path)),
            name if name.ends_with(".rs") => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

#[test]
fn the_source_keeps_the_invariants() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    assert!(files.len() > 50, "only {} files were looked at", files.len());
    let broken: Vec<String> = files
        .iter()
        .flat_map(|file| {
            violations(file.strip_prefix(&src).unwrap().to_str().unwrap(), &fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(broken.is_empty(), "docs/architecture.md says otherwise:\n{}", broken.join("\n"));
}

#[test]
fn every_invariant_can_be_broken() {
    for rule in RULES {
        let folder = rule.within.first().unwrap_or(&"event");
        for path in [format!("{folder}.rs"), format!("{folder}/deep/down.rs")] {
            for word in rule.words {
                let found =
                    violations(&path, &format!("//! {word} in a comment\nuse {word};\n#[cfg(test)]\nuse {word};\n"));
                assert!(
                    found.iter().any(|line| line.contains(rule.says) && line.contains(":2: ")),
                    "{path} with {word}: {found:?}"
                );
                assert!(found.iter().all(|line| line.contains(":2: ")), "comments and tests may: {found:?}");
            }
        }
        for except in rule.except {
            let allowed = violations(&format!("{except}/x.rs"), &rule.words.join("\n"));
            assert!(!allowed.iter().any(|line| line.contains(rule.says)), "{allowed:?}");
        }
    }
}

#[test]
fn the_document_names_every_invariant() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md");
    let document = fs::read_to_string(document).unwrap();
    let missing: Vec<&str> = RULES.iter().map(|rule| rule.says).filter(|says| !document.contains(says)).collect();
    assert!(missing.is_empty(), "docs/architecture.md does not say: {missing:#?}");
}
