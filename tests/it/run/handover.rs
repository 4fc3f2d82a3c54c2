//! What a step hands on, on a real engine: outputs, variables, folders of PATH, a summary.

use crate::support::{BUSYBOX, NONROOT, PYTHON, Repo};

/// A job whose first step leaves all there is to leave, and whose second shows it.
fn hands_on(image: &str, shell: &str) -> Repo {
    Repo::new(&format!(
        r##"
        jobs:
          make:
            image: {image}
            shell: {shell}
            outputs:
              version: ${{{{ steps.v.outputs.version }}}}
              notes: ${{{{ steps.v.outputs.notes }}}}
            steps:
              - id: v
                run: |
                  echo "version=1.2" >>"$ARGON_OUTPUT"
                  printf 'notes<<END\none\n\036two\nEND\n' >>"$ARGON_OUTPUT"
                  echo "MODE=fast" >>"$ARGON_ENV"
                  mkdir bin other; printf '#!/bin/sh\necho tool\n' >bin/tool; chmod +x bin/tool
                  printf '#!/bin/sh\necho other tool\n' >other/tool; chmod +x other/tool
                  echo "$PWD/other" >>"$ARGON_PATH"; echo "$PWD/bin" >>"$ARGON_PATH"
                  echo "# All is well" >>"$ARGON_SUMMARY"
              - run: echo "mode $MODE"; tool; ls "$ARGON_OUTPUT" >/dev/null; [ ! -s "$ARGON_OUTPUT" ]
          use:
            needs: make
            image: {image}
            steps:
              - run: printf '%s|%s|' "$V" "$N" | od -An -c | tr -d ' \n'
                env: {{V: "${{{{ needs.make.outputs.version }}}}", N: "${{{{ needs.make.outputs.notes }}}}"}}
        "##
    ))
}

#[test]
fn a_step_hands_on_in_every_shell_and_for_every_user() {
    for (image, shell) in [(BUSYBOX, "sh"), (PYTHON, "sh"), (PYTHON, "bash"), (NONROOT, "sh")] {
        hands_on(image, shell)
            .plain(&[])
            .run()
            .exits(0)
            .says("mode fast")
            .says("│ tool\n")
            .says(r"1.2|one\n036two|")
            .says("# All is well");
    }
}

#[test]
fn large_values_come_through_and_too_large_ones_are_told() {
    let repo = Repo::new(&format!(
        r##"
        jobs:
          large:
            image: {BUSYBOX}
            outputs:
              big: ${{{{ steps.big.outputs.big }}}}
            steps:
              - id: big
                run: |
                  head -c 900000 /dev/zero | tr '\0' x >x
                  echo "big=$(cat x)" >>"$ARGON_OUTPUT"
              - run: echo no
                env: {{BIG: "${{{{ steps.big.outputs.big }}}}"}}
                continue-on-error: true
          over:
            image: {BUSYBOX}
            steps:
              - run: head -c 2000000 /dev/zero | tr '\0' x >>"$ARGON_SUMMARY"
        "##
    ));
    let ended = repo.json(&["-k"]).run();
    ended.exits(1);
    assert_eq!(ended.job("large")["outputs"]["big"].as_str().unwrap().len(), 900_000);
    let steps: Vec<serde_json::Value> =
        ended.events().into_iter().filter(|event| event["type"] == "step.finished").collect();
    let cause = |job: &str, step: u64| {
        let found = steps.iter().find(|event| event["job"] == job && event["step"] == step).unwrap();
        found["cause"].clone()
    };
    assert_eq!(
        cause("large", 2)["message"],
        "`BIG` comes to 900000 bytes, and Linux takes 131072: hand it on in a file"
    );
    assert_eq!(cause("over", 1)["message"], "it has more than 1024 KiB");
}

#[test]
fn what_a_background_process_writes_falls_into_no_output() {
    let repo = Repo::new(&format!(
        r##"
        jobs:
          job:
            image: {BUSYBOX}
            outputs:
              big: ${{{{ steps.big.outputs.big }}}}
            steps:
              - id: big
                run: |
                  (while :; do echo noise noise noise; done) &
                  head -c 200000 /dev/zero | tr '\0' x >x
                  echo "big=$(cat x)" >>"$ARGON_OUTPUT"
              - run: "true"
        "##
    ));
    let ended = repo.json(&[]).run();
    ended.exits(0);
    assert_eq!(ended.job("job")["outputs"]["big"], "x".repeat(200_000));
}

#[test]
fn a_step_that_fails_hands_on_and_one_that_writes_nonsense_fails() {
    let repo = Repo::new(&format!(
        r##"
        jobs:
          job:
            image: {BUSYBOX}
            steps:
              - id: a
                run: echo "why=disk" >>"$ARGON_OUTPUT"; exit 3
              - if: failure() && steps.a.outputs.why == 'disk'
                run: echo cleaning up
              - if: always()
                run: echo nonsense >>"$ARGON_ENV"
        "##
    ));
    repo.plain(&[]).run().exits(1).says("cleaning up").says(
        "what the step left in $ARGON_ENV cannot be read: line 1: `nonsense` is neither `name=value` nor `name<<WORD`",
    );
}

#[test]
fn what_is_handed_on_is_masked_where_it_shows() {
    let repo = Repo::new(&format!(
        r##"
        jobs:
          job:
            image: {BUSYBOX}
            outputs:
              token: ${{{{ steps.a.outputs.token }}}}
            steps:
              - id: a
                secrets: [TOKEN]
                run: |
                  echo "token=$TOKEN" >>"$ARGON_OUTPUT"
                  echo "the token is $TOKEN" >>"$ARGON_SUMMARY"
          use:
            needs: job
            image: {BUSYBOX}
            steps:
              - run: '[ ${{#T}} = 15 ] && echo "it is $T"'
                env: {{T: "${{{{ needs.job.outputs.token }}}}"}}
        "##
    ));
    let ended = repo.json(&["-s", "TOKEN=hunter2-hunter2"]).run();
    ended.exits(0).says("it is ***").says("the token is ***");
    ended.never_says("hunter2");
}
