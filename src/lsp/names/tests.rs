use std::collections::BTreeSet;

use super::*;
use crate::pipeline::expr::{Reference, Referred};
use crate::pipeline::{Job, JobImage, Pipeline};

const TEXT: &str = "\
secrets: [TOKEN]
env: {MODE: fast}
jobs:
  lint:
    image: busybox:1
    outputs: {version: \"${{ steps.one.outputs.v }}\"}
    steps:
      - id: one
        run: x
  build:
    name: Build ${{ matrix['os'] }}
    image: ${{ matrix.os }}
    needs: [lint]
    if: needs.lint.status == 'success' && secrets.TOKEN && env.MODE != 'needs.lint'
    matrix: {os: [\"a:1\", \"b:1\"]}
    env:
      V: \"${{ needs.lint.outputs.version }}\"
    steps:
      - id: two
        if: ${{ failure() }}
        env: {W: \"${{ env.V }}\"}
        run: |
          echo ${{ matrix.os }}
        secrets: [TOKEN]
";

/// The names that the language sees in the expressions of a pipeline, with where they stand.
fn of_language(pipeline: &Pipeline) -> BTreeSet<(usize, String)> {
    let mut found = BTreeSet::new();
    for job in &pipeline.jobs {
        let mut add =
            |reference: Reference<'_>| found.extend(named(&reference.to, job).map(|name| (reference.span.start, name)));
        job.condition.iter().flat_map(|condition| condition.references()).for_each(&mut add);
        let image = if let JobImage::Reference(image) = &job.image { Some(&image.value) } else { None };
        let values = job.env.iter().chain(&job.outputs).map(|(_, value)| value);
        let steps = job.steps.iter().flat_map(|step| {
            step.env
                .iter()
                .map(|(_, value)| value)
                .chain(&step.name)
                .chain(&step.working_directory)
                .chain([&step.run.value])
        });
        image
            .into_iter()
            .chain(values)
            .chain(&job.name)
            .chain(steps)
            .flat_map(|text| text.references())
            .for_each(&mut add);
        let conditions = job.steps.iter().filter_map(|step| step.condition.as_ref());
        conditions.flat_map(|condition| condition.references()).for_each(&mut add);
    }
    found
}

fn named(to: &Referred<'_>, job: &Job) -> Option<String> {
    let (job, name) = (job.key.value.clone(), |name: &str| name.to_owned());
    let symbol = match *to {
        Referred::Need(of) => Symbol::Job(name(of)),
        Referred::NeedOutput { job, output } => Symbol::Output { job: name(job), name: name(output) },
        Referred::Step(id) => Symbol::Step { job, id: name(id) },
        // What a step puts out is said nowhere in the file.
        Referred::StepOutput { .. } => return None,
        Referred::Matrix(axis) => Symbol::Axis { job, name: name(axis) },
        Referred::Env(variable) => Symbol::Variable(name(variable)),
        Referred::Secret(secret) => Symbol::Secret(name(secret)),
    };
    Some(format!("{symbol:?}"))
}

fn read(text: &str) -> (Outline, Names) {
    let outline = Outline::of(text);
    let names = Names::of(text, &outline);
    (outline, names)
}

#[test]
fn names_in_expressions_are_those_that_the_language_sees() {
    let (pipeline, findings) = crate::pipeline::parse(TEXT);
    let pipeline = pipeline.unwrap_or_else(|| panic!("{findings:#?}"));
    let (_, names) = read(TEXT);
    let is_in_expression = |occurrence: &&Occurrence| {
        let before = TEXT[..occurrence.span.start].trim_end_matches('\'');
        occurrence.role == Role::Reference && before.ends_with(['.', '[']) && !before.ends_with(": [")
    };
    let ours: BTreeSet<(usize, String)> = names
        .occurrences
        .iter()
        .filter(is_in_expression)
        .map(|occurrence| (occurrence.span.start, format!("{:?}", occurrence.symbol)))
        .collect();
    let theirs = of_language(&pipeline);
    assert!(theirs.len() >= 10, "{theirs:#?}");
    // `matrix['os']`: the language points at the quotes too.
    let loose = |set: BTreeSet<(usize, String)>| -> BTreeSet<(usize, String)> {
        set.into_iter().map(|(at, name)| (at + usize::from(TEXT[at..].starts_with('\'')), name)).collect()
    };
    assert_eq!(loose(ours), loose(theirs));
}

#[test]
fn jobs_needs_and_steps_are_those_of_the_model() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/pipelines/valid");
    let mut texts = vec![TEXT.to_owned()];
    texts.extend(
        std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()),
    );
    assert!(texts.len() > 3);
    for text in texts {
        let (pipeline, _) = crate::pipeline::parse(&text);
        let pipeline = pipeline.unwrap();
        let (_, names) = read(&text);
        let jobs = |pairs: Vec<(String, usize)>| pairs.into_iter().collect::<BTreeSet<_>>();
        let quoted = |span: &Span| span.start + usize::from(text[span.start..].starts_with(['"', '\'']));
        assert_eq!(
            jobs(names.jobs.iter().map(|job| (job.key.value.clone(), job.key.span.start)).collect()),
            jobs(pipeline.jobs.iter().map(|job| (job.key.value.clone(), quoted(&job.key.span))).collect()),
            "{text}"
        );
        for job in &pipeline.jobs {
            let ours = names.job(&job.key.value).unwrap();
            // What an alias or a merge brings stands elsewhere.
            if !text.contains('*') {
                let needs: Vec<&str> = job.needs.iter().map(|need| need.value.as_str()).collect();
                assert_eq!(ours.needs, needs, "{text}");
                assert_eq!(ours.steps.len(), job.steps.len(), "{text}");
            }
        }
    }
}

#[test]
fn hostile_texts_are_looked_through() {
    let many = |piece: &str| piece.repeat(100_000 / piece.len());
    for piece in [
        "- ",
        "[",
        "{a: ",
        "a, ",
        "\"a\",",
        "'",
        "&a ",
        "${{ ",
        "${{ '",
        "${{ a.b }}",
        "a:\n",
        "- a\n",
        "- a: |\n ",
        "? ",
        "a: [\n",
        "a: \"\n",
    ] {
        for text in [
            many(piece),
            format!("a: {}", many(piece)),
            format!("jobs:\n  a: [{}", many(piece)),
            format!("if: {}", many(piece)),
        ] {
            let (outline, names) = read(&text);
            assert!(outline.all().count() <= text.len() && names.occurrences.len() <= text.len());
        }
    }
}
