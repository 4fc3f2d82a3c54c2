//! `argon validate` as one types it: folders, SARIF, explanations.

use super::*;

const BAD: &str = "jobs:\n  ü:\n    image: busybox:1.36\n    steps: [{run: a}]\n";

impl Sandbox {
    fn write_deep(&self, name: &str, text: &str) {
        fs::create_dir_all(self.repo().join(name).parent().unwrap()).unwrap();
        self.write(name, text);
    }
}

fn files_of(said: &Said) -> Vec<String> {
    let all: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    all.as_array().unwrap().iter().map(|finding| finding["file"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_folder_stands_for_its_pipeline_files_at_any_depth() {
    let sandbox = Sandbox::empty();
    for name in [
        ".runnerci.yml",
        "z/.runnerci.yaml",
        "a b/.runnerci.yml",
        "a b/other.yml",
        "out/.runnerci.yml",
        ".git/.runnerci.yml",
    ] {
        sandbox.write_deep(name, BAD);
    }
    sandbox.write(".gitignore", "out/\n");
    fs::create_dir(sandbox.repo().join("empty")).unwrap();
    sandbox.write_deep("near/runnerci.yml", PIPELINE);
    let json = |arguments: &[&str]| files_of(&sandbox.argon(&[&["validate", "--format", "json"], arguments].concat()));

    assert_eq!(json(&["."]), [".runnerci.yml", "a b/.runnerci.yml", "z/.runnerci.yaml"]);
    assert_eq!(
        json(&["z", ".runnerci.yml", ".", "a b/other.yml"]),
        ["z/.runnerci.yaml", ".runnerci.yml", "a b/.runnerci.yml", "a b/other.yml"]
    );
    insta::assert_snapshot!(all(&[
        sandbox.argon(&["validate", "."]),
        sandbox.argon(&["validate", "--format", "short", "empty", "near", "nowhere"]),
        sandbox.argon(&["validate", "--format", "short", "near", "near/runnerci.yml"]),
    ]));
}

#[test]
fn sarif_is_what_its_schema_says() {
    let sandbox = Sandbox::with_pipeline(PIPELINE);
    sandbox.write_deep("a b/.runnerci.yml", &BAD.replace("busybox:1.36", "busybox"));
    sandbox.write_deep("c/.runnerci.yml", "jobs:\n  a: {image: b:1, steps: [{run: c}], needs: [a, x]}\n  a: {}\n");
    // The schema of OASIS's specification, as @microsoft/jest-sarif (MIT) has it; one pattern in it is none.
    let schema = include_str!("sarif-2.1.0.json").replace("^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$", "^[a-zA-Z]{2}");
    let schema = serde_json::from_str(&schema).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let logs = [&["."][..], &[".runnerci.yml"], &["nowhere.yml"]].map(|arguments| {
        let said = sandbox.argon(&[&["validate", "--format", "sarif"], arguments].concat());
        let log: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        let wrong: Vec<String> = schema.iter_errors(&log).map(|error| error.to_string()).collect();
        assert_eq!(wrong, [""; 0], "{said}");
        log
    });
    let mut broken = logs[0].clone();
    broken["runs"][0]["results"][0]["level"] = "bad".into();
    assert!(!schema.is_valid(&broken), "the schema refuses nothing");

    let run = &logs[0]["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    assert!(rules.iter().any(|rule| rule["id"] == "W0301"));
    let first = &run["results"][0];
    assert_eq!(first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "a%20b/.runnerci.yml");
    let region = serde_json::json!({"startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 4});
    assert_eq!(first["locations"][0]["physicalLocation"]["region"], region);
    assert!(run["results"].as_array().unwrap().iter().any(|result| result["relatedLocations"].is_array()));
    assert_eq!(logs[1]["runs"][0]["results"], serde_json::json!([]));
    assert_eq!(logs[2]["runs"][0]["results"][0]["locations"][0]["physicalLocation"].get("region"), None);
}

#[test]
fn a_code_is_explained() {
    let sandbox = Sandbox::empty();
    insta::assert_snapshot!(all(&[
        sandbox.argon(&["validate", "--explain", "e0203"]),
        sandbox.argon(&["validate", "--explain", "E0203", "x.yml"]),
    ]));
    let coloured = sandbox.argon(&["--color", "always", "validate", "--explain", "E0203"]);
    assert!(coloured.stdout.starts_with("\u{1b}[1mE0203"), "{coloured}");
    let unknown = sandbox.argon(&["validate", "--explain", "E2003"]);
    assert_eq!(unknown.status, Some(2));
    assert!(unknown.stderr.contains("did you mean `E"), "{unknown}");
    assert!(unknown.stderr.contains("\n  W0401  "), "{unknown}");
}
