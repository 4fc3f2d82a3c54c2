//! The graph that `needs` draws: unknown, own and doubled needs, and cycles by name.

use std::collections::{HashMap, HashSet};

use super::{Code, Diagnostic, Spanned, keys};

/// A job's key and what it needs.
pub(super) struct Needs<'a> {
    pub(super) key: &'a Spanned<String>,
    pub(super) needs: &'a [Spanned<String>],
}

/// Reports every need that cannot be met. `keys` holds all jobs of the file, those that are broken too.
pub(super) fn check(jobs: &[Needs<'_>], keys: &[&str], findings: &mut Vec<Diagnostic>) {
    let known: HashSet<&str> = keys.iter().copied().collect();
    for job in jobs {
        let mut seen = HashMap::new();
        for need in job.needs {
            let name = need.value.as_str();
            let at = need.span.clone();
            if let Some(first) = seen.insert(name, at.clone()) {
                findings.push(
                    Diagnostic::new(Code::DuplicateNeed, at, format!("`{}` needs `{name}` twice", job.key.value))
                        .label(first, "it stands here first")
                        .help("keep one of them"),
                );
            } else if name == job.key.value {
                findings.push(
                    Diagnostic::new(Code::SelfNeed, at, format!("`{name}` needs itself"))
                        .help("remove it: it would wait for ever"),
                );
            } else if !known.contains(name) {
                findings.push(unknown(job, need, keys));
            }
        }
    }
    cycles(jobs, findings);
}

fn unknown(job: &Needs<'_>, need: &Spanned<String>, keys: &[&str]) -> Diagnostic {
    let message = format!("`{}` needs `{}`, and there is no such job", job.key.value, need.value);
    let finding = Diagnostic::new(Code::UnknownNeed, need.span.clone(), message);
    let others: Vec<&str> = keys.iter().copied().filter(|key| *key != job.key.value).collect();
    match keys::near(&need.value, others.iter().copied()) {
        Some(near) => finding.suggest(near),
        None if others.is_empty() => finding.help("remove it: there is no other job"),
        None if others.len() <= 12 => finding.help(format!("the other jobs: {}", keys::list(others))),
        None => finding.help("`needs` takes the keys of jobs, not their names"),
    }
}

/// Reports each cycle once, at the need that closes it. Without recursion: a chain of needs may be long.
fn cycles(jobs: &[Needs<'_>], findings: &mut Vec<Diagnostic>) {
    let index: HashMap<&str, usize> = jobs.iter().enumerate().map(|(at, job)| (job.key.value.as_str(), at)).collect();
    let mut done = vec![false; jobs.len()];
    for start in 0..jobs.len() {
        let mut path = vec![(start, 0_usize)];
        let mut on_path = HashSet::from([start]);
        while let Some((at, next)) = path.last_mut() {
            let (current, job) = (*at, &jobs[*at]);
            let need = if done[current] { None } else { job.needs.get(*next) };
            *next += 1;
            let Some(need) = need else {
                done[current] = true;
                on_path.remove(&current);
                path.pop();
                continue;
            };
            let Some(&target) = index.get(need.value.as_str()) else {
                continue;
            };
            if target == current || done[target] {
                continue;
            }
            if on_path.insert(target) {
                path.push((target, 0));
            } else {
                findings.push(cycle(jobs, path.iter().map(|(at, _)| *at).skip_while(|at| *at != target), need));
            }
        }
    }
}

fn cycle(jobs: &[Needs<'_>], members: impl Iterator<Item = usize>, closing: &Spanned<String>) -> Diagnostic {
    let mut names: Vec<&str> = members.map(|at| jobs[at].key.value.as_str()).collect();
    names.extend(names.first().copied());
    Diagnostic::new(Code::Cycle, closing.span.clone(), format!("these jobs wait for each other: {}", names.join(" → ")))
        .help("remove one of these needs")
}
