//! Expressions against what exists where they stand: every name, every argument, every comparison.

use std::collections::BTreeMap;

use serde_json::Value;

use super::references::Referred;
use super::{Condition, Context, Expr, ExprKind, Function, Operator, Position, Template};
use crate::pipeline::{Code, Diagnostic, keys};

/// What exists where an expression stands.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Names<'a> {
    /// The names of the job's matrix; `None` where it has none.
    pub(in crate::pipeline) matrix: Option<Vec<&'a str>>,
    /// The variables that the file sets for it.
    pub(in crate::pipeline) env: Vec<&'a str>,
    /// An earlier step may set others: its script names `ARGON_ENV`.
    pub(in crate::pipeline) env_grows: bool,
    /// The jobs that it needs, each with its outputs.
    pub(in crate::pipeline) needs: BTreeMap<&'a str, Vec<&'a str>>,
    /// Every job of the pipeline.
    pub(in crate::pipeline) jobs: &'a [&'a str],
    /// The ids of the steps before.
    pub(in crate::pipeline) steps: Vec<&'a str>,
    /// The ids of the other steps of the job.
    pub(in crate::pipeline) later: Vec<&'a str>,
    /// The declared secrets; `None` where any may be asked for.
    pub(in crate::pipeline) secrets: Option<Vec<&'a str>>,
}

/// What a job's or step's status may be.
const STATUSES: [&str; 5] = ["success", "failure", "cancelled", "skipped", "error"];
/// What a thing that hands on has.
const PROPERTIES: [&str; 2] = ["status", "outputs"];

pub(in crate::pipeline) fn check_template(
    template: &Template,
    position: Position,
    names: &Names<'_>,
    findings: &mut Vec<Diagnostic>,
) {
    for expr in template.expressions() {
        Check { position, names, findings }.expr(expr);
    }
}

pub(in crate::pipeline) fn check_condition(
    condition: &Condition,
    position: Position,
    names: &Names<'_>,
    findings: &mut Vec<Diagnostic>,
) {
    Check { position, names, findings }.expr(&condition.expr);
    if let Some(value) = condition.constant()
        && value
    {
        let message = format!("`{condition}` always holds: it rests on nothing");
        findings.push(
            Diagnostic::new(Code::ConstantCondition, condition.expr.span.clone(), message)
                .help("remove the `if`, or compare something: `branch == 'main'`"),
        );
    }
}

struct Check<'a, 'n> {
    position: Position,
    names: &'a Names<'n>,
    findings: &'a mut Vec<Diagnostic>,
}

impl Check<'_, '_> {
    fn expr(&mut self, expr: &Expr) {
        // The property that is looked up in a context, by where the context stands.
        let mut looked_up: BTreeMap<usize, &str> = BTreeMap::new();
        expr.walk(&mut |expr| {
            if let ExprKind::Property { of, name } = &expr.kind
                && let ExprKind::Context(_) = of.kind
            {
                looked_up.insert(of.span.start, &name.value);
            }
        });
        expr.walk(&mut |expr| match &expr.kind {
            ExprKind::Context(context) => {
                self.context(*context, looked_up.get(&expr.span.start).copied(), expr);
            }
            ExprKind::Call { function, arguments } => self.call(function.value, arguments, expr),
            ExprKind::Binary { operator, left, right } => {
                self.comparison(*operator, left, right);
                self.comparison(*operator, right, left);
            }
            ExprKind::Property { of, name } => {
                if let ExprKind::Property { of: root, name: owner } = &of.kind
                    && let ExprKind::Context(context @ (Context::Needs | Context::Steps)) = root.kind
                    && !PROPERTIES.contains(&name.value.as_str())
                {
                    let message = format!("`{}.{}` has no `{}`", context.name(), owner.value, name.value);
                    let finding = Diagnostic::new(Code::UnknownProperty, name.span.clone(), message);
                    self.findings.push(did_you_mean(finding, &name.value, &PROPERTIES, "it has"));
                }
            }
            _ => {}
        });
        // What is refused as a whole is not looked up besides.
        for reference in expr.references() {
            self.reference(&reference.to, reference.span);
        }
    }

    fn context(&mut self, context: Context, property: Option<&str>, at: &Expr) {
        if self.position.contexts().contains(&context) {
            return;
        }
        let name = context.name();
        let (code, message, help) = match (self.position, context) {
            (_, Context::Secrets) => (
                Code::SecretValue,
                "a secret has no value in an expression".to_owned(),
                "list it under `secrets` of the step: it becomes the variable of its name".to_owned(),
            ),
            (Position::Run, Context::Env) => (
                Code::EventInScript,
                "a variable is not put into a script".to_owned(),
                format!("write `\"${}\"`: the shell has it, and takes it as text", property.unwrap_or("NAME")),
            ),
            (Position::Run, _) => (
                Code::EventInScript,
                format!("`{name}` is not put into a script: whoever wrote its text could run commands"),
                match context {
                    Context::Branch => "write `\"$ARGON_BRANCH\"`".to_owned(),
                    Context::Tag => "write `\"$ARGON_TAG\"`".to_owned(),
                    Context::Event => {
                        "write `\"$ARGON_COMMIT_MESSAGE\"` and the like, or set a variable in the step's `env`"
                            .to_owned()
                    }
                    _ => format!(
                        "set a variable in the step's `env`, `VALUE: ${{{{ {name}.… }}}}`, and write `\"$VALUE\"`"
                    ),
                },
            ),
            _ => (
                Code::NotHere,
                format!("{} cannot look into `{name}`", self.position.title()),
                match context {
                    Context::Needs | Context::Steps => {
                        "it is read before any job runs, or before that is known".to_owned()
                    }
                    _ => format!(
                        "it may look into {}",
                        keys::list(self.position.contexts().iter().map(|context| context.name()))
                    ),
                },
            ),
        };
        self.findings.push(Diagnostic::new(code, at.span.clone(), message).help(help));
    }

    fn call(&mut self, function: Function, arguments: &[Expr], at: &Expr) {
        let name = function.name();
        if !self.position.allows(function) {
            let message = format!("{} cannot call `{name}()`", self.position.title());
            self.findings.push(
                Diagnostic::new(Code::NotHere, at.span.clone(), message)
                    .help("it belongs in the `if` of a job or a step"),
            );
            return;
        }
        let (least, most) = function.count();
        if !(least..=most).contains(&arguments.len()) {
            let message = format!("`{name}` takes {}, not {}", wanted(least, most), arguments.len());
            self.findings.push(
                Diagnostic::new(Code::Arguments, at.span.clone(), message)
                    .help(format!("write `{name}({})`", function.arguments())),
            );
            return;
        }
        if matches!(function, Function::Hash | Function::Changed) {
            for argument in arguments {
                self.glob(name, argument);
            }
        }
    }

    fn glob(&mut self, function: &str, argument: &Expr) {
        let ExprKind::Literal(value) = &argument.kind else {
            return;
        };
        let Value::String(glob) = value else {
            self.findings.push(
                Diagnostic::new(Code::BadGlob, argument.span.clone(), format!("`{function}` takes patterns of files"))
                    .help(format!("write `{function}('src/**')`")),
            );
            return;
        };
        let pattern = glob.strip_prefix('!').unwrap_or(glob);
        let why = if pattern.trim().is_empty() {
            "is empty"
        } else if pattern.starts_with('/') {
            "is an absolute path"
        } else if pattern.split('/').any(|part| part == "..") {
            "leaves the repository"
        } else {
            return;
        };
        self.findings.push(
            Diagnostic::new(
                Code::BadGlob,
                argument.span.clone(),
                format!("the pattern '{glob}' {why}: it matches no file"),
            )
            .help("patterns are paths from the top of the repository, such as `'src/**'`"),
        );
    }

    /// A status that is compared with a word that no status is.
    fn comparison(&mut self, operator: Operator, of: &Expr, with: &Expr) {
        let ExprKind::Literal(Value::String(word)) = &with.kind else {
            return;
        };
        let is_status = match &of.kind {
            ExprKind::Property { of, name } if name.value == "status" => match &of.kind {
                ExprKind::Property { of, .. } => {
                    matches!(of.kind, ExprKind::Context(Context::Needs | Context::Steps))
                }
                _ => false,
            },
            _ => false,
        };
        if is_status
            && matches!(operator, Operator::Equal | Operator::NotEqual)
            && !STATUSES.iter().any(|status| status.eq_ignore_ascii_case(word))
        {
            let finding =
                Diagnostic::new(Code::ImpossibleComparison, with.span.clone(), format!("no status is '{word}'"));
            self.findings.push(did_you_mean(finding, word, &STATUSES, "it is one of"));
        }
    }

    fn reference(&mut self, to: &Referred<'_>, at: super::Span) {
        let names = self.names;
        let allowed = |context| self.position.contexts().contains(&context);
        let finding = match *to {
            Referred::Matrix(name) if allowed(Context::Matrix) => match &names.matrix {
                None => Diagnostic::new(
                    Code::UnknownMatrixName,
                    at,
                    format!("there is no `matrix.{name}`: the job has no matrix"),
                )
                .help("give the job a `matrix`, or write the value itself"),
                Some(known) if known.contains(&name) => return,
                Some(known) => {
                    let finding =
                        Diagnostic::new(Code::UnknownMatrixName, at, format!("the job's matrix has no `{name}`"));
                    did_you_mean(finding, name, known, "it has")
                }
            },
            Referred::Env(name) if allowed(Context::Env) => {
                if names.env.contains(&name) || names.env_grows {
                    return;
                }
                let finding = Diagnostic::new(Code::UnknownVariable, at, format!("nothing in the file sets `{name}`"));
                match keys::near(name, names.env.iter().copied()) {
                    Some(near) => finding.suggest(near),
                    None => finding.help("set it in an `env`; a step before may also set it through `$ARGON_ENV`"),
                }
            }
            Referred::Secret(name) if allowed(Context::Secrets) => match &names.secrets {
                None => return,
                Some(known) if known.contains(&name) => return,
                Some(known) => {
                    let message = format!("the file does not declare the secret `{name}`");
                    let finding = Diagnostic::new(Code::UnknownSecretName, at, message);
                    match keys::near(name, known.iter().copied()) {
                        Some(near) => finding.suggest(near),
                        None => finding.help("add it to `secrets` at the top of the file"),
                    }
                }
            },
            Referred::Need(name) if allowed(Context::Needs) => {
                if names.needs.contains_key(name) {
                    return;
                }
                if names.jobs.contains(&name) {
                    Diagnostic::new(
                        Code::UnknownNeedName,
                        at,
                        format!("the job does not need `{name}`, so it knows nothing of it"),
                    )
                    .help(format!("add `{name}` to its `needs`"))
                } else {
                    let known: Vec<&str> = names.needs.keys().copied().collect();
                    let finding = Diagnostic::new(Code::UnknownNeedName, at, format!("there is no job `{name}`"));
                    did_you_mean(finding, name, &known, "the job needs")
                }
            }
            Referred::NeedOutput { job, output } if allowed(Context::Needs) => match names.needs.get(job) {
                None => return,
                Some(outputs) if outputs.contains(&output) => return,
                Some(outputs) => {
                    let finding =
                        Diagnostic::new(Code::UnknownOutput, at, format!("the job `{job}` has no output `{output}`"));
                    match keys::near(output, outputs.iter().copied()) {
                        Some(near) => finding.suggest(near),
                        None => finding.help(format!(
                            "add it to the job's `outputs`: `{output}: ${{{{ steps.ID.outputs.{output} }}}}`"
                        )),
                    }
                }
            },
            Referred::Step(id) if allowed(Context::Steps) => {
                if names.steps.contains(&id) {
                    return;
                }
                if names.later.contains(&id) {
                    Diagnostic::new(Code::UnknownStepId, at, format!("the step `{id}` has not run by then"))
                        .help("move that step up: only the steps before are known")
                } else {
                    let finding = Diagnostic::new(Code::UnknownStepId, at, format!("no step before has the id `{id}`"));
                    match keys::near(id, names.steps.iter().copied()) {
                        Some(near) => finding.suggest(near),
                        None => finding.help(format!("give the step an `id: {id}`: its `name` is for people")),
                    }
                }
            }
            _ => return,
        };
        self.findings.push(finding);
    }
}

fn did_you_mean(finding: Diagnostic, name: &str, known: &[&str], they_are: &str) -> Diagnostic {
    match keys::near(name, known.iter().copied()) {
        Some(near) => finding.suggest(near),
        None if known.is_empty() => finding.help("there are none"),
        None => finding.help(format!("{they_are} {}", keys::list(known.iter().copied()))),
    }
}

fn wanted(least: usize, most: usize) -> String {
    let plural = |number: usize| if number == 1 { "1 argument".to_owned() } else { format!("{number} arguments") };
    match (least, most) {
        (0, 0) => "no argument".to_owned(),
        (least, most) if least == most => plural(least),
        (least, usize::MAX) => format!("at least {}", plural(least)),
        (least, most) => format!("{least} or {}", plural(most)),
    }
}
