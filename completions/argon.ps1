
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'argon' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'argon'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'argon' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Runs the pipeline, or some of its jobs')
            [CompletionResult]::new('validate', 'validate', [CompletionResultType]::ParameterValue, 'Checks pipeline files, and says what is wrong to the column')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Prints the JSON Schema of the pipeline file, for editors')
            [CompletionResult]::new('runs', 'runs', [CompletionResultType]::ParameterValue, 'Lists the runs that were, the latest first; of the repository here, where there is one')
            [CompletionResult]::new('logs', 'logs', [CompletionResultType]::ParameterValue, 'Shows what the steps of a run printed')
            [CompletionResult]::new('artifacts', 'artifacts', [CompletionResultType]::ParameterValue, 'Lists the artifacts of a run, and gets them')
            [CompletionResult]::new('secret', 'secret', [CompletionResultType]::ParameterValue, 'Keeps secrets for the steps that list them under `secrets`')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Lists the jobs of the pipeline')
            [CompletionResult]::new('graph', 'graph', [CompletionResultType]::ParameterValue, 'Draws which job needs which')
            [CompletionResult]::new('listen', 'listen', [CompletionResultType]::ParameterValue, 'Runs the pipeline of a repository when its forge says that something was pushed')
            [CompletionResult]::new('trigger', 'trigger', [CompletionResultType]::ParameterValue, 'Has a listener run its repository''s pipeline now')
            [CompletionResult]::new('ui', 'ui', [CompletionResultType]::ParameterValue, 'Shows the runs that were, and go on, in a browser')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Writes a first `.runnerci.yml`, for Cargo, npm, Python, Go or Maven')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Looks for the engine, and says what Argon found and what will not work')
            [CompletionResult]::new('clean', 'clean', [CompletionResultType]::ParameterValue, 'Removes what crashed runs left on the engine')
            [CompletionResult]::new('lsp', 'lsp', [CompletionResultType]::ParameterValue, 'Serves an editor: findings, completion, hover, definitions, renames in pipeline files')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Prints the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Prints a manual page: `argon man run | man -l -`')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'argon;run' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]')
            [CompletionResult]::new('--repo', '--repo', [CompletionResultType]::ParameterName, 'Runs a clean checkout of this repository instead of the working tree')
            [CompletionResult]::new('--commit', '--commit', [CompletionResultType]::ParameterName, 'Runs a clean checkout of this commit, branch or tag')
            [CompletionResult]::new('--matrix', '--matrix', [CompletionResultType]::ParameterName, 'Runs the combinations of a matrix with this value alone; given twice for one name, either value counts')
            [CompletionResult]::new('--event', '--event', [CompletionResultType]::ParameterName, 'Runs as this event would: only where `on` wants it [default: `on` is not asked]')
            [CompletionResult]::new('--event-file', '--event-file', [CompletionResultType]::ParameterName, 'Reads the event from the body of a webhook (GitHub, GitLab, Gitea, Forgejo, Bitbucket); `-` is standard input')
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment')
            [CompletionResult]::new('--env-file', '--env-file', [CompletionResultType]::ParameterName, 'Reads environment variables from a file of NAME=VALUE lines')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output')
            [CompletionResult]::new('--secret', '--secret', [CompletionResultType]::ParameterName, 'Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output')
            [CompletionResult]::new('--secret-file', '--secret-file', [CompletionResultType]::ParameterName, 'Reads secrets from a file of NAME=VALUE lines, which only you may be able to read')
            [CompletionResult]::new('--allow', '--allow', [CompletionResultType]::ParameterName, 'Lets jobs have what their `security` asks for beyond the sandbox: `privileged`, or a capability such as `SYS_PTRACE`')
            [CompletionResult]::new('--image', '--image', [CompletionResultType]::ParameterName, 'Runs jobs that name the image FROM in the image TO')
            [CompletionResult]::new('--pull', '--pull', [CompletionResultType]::ParameterName, 'When to pull images')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'How many jobs run at once [default: the number of cores]')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'How many jobs run at once [default: the number of cores]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time for the whole run, as `90s`, `10m`, `1h30m`')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'From TERM to KILL, when a step is stopped [default: 10s]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How the run is shown')
            [CompletionResult]::new('--junit', '--junit', [CompletionResultType]::ParameterName, 'Also writes a JUnit XML report')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Runs the named jobs without what they need')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'After a failure, runs all that does not need the failed job')
            [CompletionResult]::new('--keep-going', '--keep-going', [CompletionResultType]::ParameterName, 'After a failure, runs all that does not need the failed job')
            [CompletionResult]::new('--no-cache', '--no-cache', [CompletionResultType]::ParameterName, 'Also runs the jobs that are cached, as nothing that they rest on has changed')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Shows what would run, and runs nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Shows failures only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Shows failures only')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Shows what Argon does')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Shows what Argon does')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;validate' {
            [CompletionResult]::new('--stdin-path', '--stdin-path', [CompletionResultType]::ParameterName, 'The name to show for standard input')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to show what was found')
            [CompletionResult]::new('--explain', '--explain', [CompletionResultType]::ParameterName, 'Tell what a finding''s code means, and how to put it right; check nothing')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--strict', '--strict', [CompletionResultType]::ParameterName, 'Treat warnings as errors')
            [CompletionResult]::new('--print', '--print', [CompletionResultType]::ParameterName, 'Print the pipeline as it will be run, as one file: includes merged, aliases and defaults applied')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;schema' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;runs' {
            [CompletionResult]::new('--repo', '--repo', [CompletionResultType]::ParameterName, 'Runs of this repository, by folder or URL')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'Runs of this branch')
            [CompletionResult]::new('--branch', '--branch', [CompletionResultType]::ParameterName, 'Runs of this branch')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Runs that ended so, or go on; may be given several times')
            [CompletionResult]::new('--status', '--status', [CompletionResultType]::ParameterName, 'Runs that ended so, or go on; may be given several times')
            [CompletionResult]::new('--search', '--search', [CompletionResultType]::ParameterName, 'Runs with this text in a log, or in what argon said')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'How many at most')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'How many at most')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Runs of all repositories')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Runs of all repositories')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Prints one JSON array; with RUN, one object')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'argon;logs' {
            [CompletionResult]::new('--job', '--job', [CompletionResultType]::ParameterName, 'This job alone')
            [CompletionResult]::new('--step', '--step', [CompletionResultType]::ParameterName, 'This step alone, by name or number')
            [CompletionResult]::new('--service', '--service', [CompletionResultType]::ParameterName, 'What a service of a job wrote, instead of what steps printed')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--failed', '--failed', [CompletionResultType]::ParameterName, 'Steps that failed alone')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Goes on for as long as the run does')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Goes on for as long as the run does')
            [CompletionResult]::new('--raw', '--raw', [CompletionResultType]::ParameterName, 'The bytes as the steps wrote them, and nothing else')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'The run''s events as JSON, one a line, as `argon run --output json` has them, without the steps'' output')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;artifacts' {
            [CompletionResult]::new('--job', '--job', [CompletionResultType]::ParameterName, 'Those of this job alone: its name, or of a matrix the name of all or of one')
            [CompletionResult]::new('--get', '--get', [CompletionResultType]::ParameterName, 'Gets the artifact of this name; may be given more than once. Where several jobs have it, each is below a folder of its job')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The folder to put them in')
            [CompletionResult]::new('--out', '--out', [CompletionResultType]::ParameterName, 'The folder to put them in')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Gets all of them, each below a folder of its name')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'The list as JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;secret' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('set', 'set', [CompletionResultType]::ParameterValue, 'Keeps a secret: asks for it, or reads it from standard input')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Lists the names of the secrets that runs of the repository here may ask for, and where each is')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Forgets a secret')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'argon;secret;set' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--everywhere', '--everywhere', [CompletionResultType]::ParameterName, 'For every repository')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'argon;secret;list' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'argon;secret;rm' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--everywhere', '--everywhere', [CompletionResultType]::ParameterName, 'The one for every repository')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'argon;secret;help' {
            [CompletionResult]::new('set', 'set', [CompletionResultType]::ParameterValue, 'Keeps a secret: asks for it, or reads it from standard input')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Lists the names of the secrets that runs of the repository here may ask for, and where each is')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Forgets a secret')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'argon;secret;help;set' {
            break
        }
        'argon;secret;help;list' {
            break
        }
        'argon;secret;help;rm' {
            break
        }
        'argon;secret;help;help' {
            break
        }
        'argon;list' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Prints one JSON array')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'argon;graph' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Text for a terminal, or Mermaid for Markdown')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;listen' {
            [CompletionResult]::new('--repo', '--repo', [CompletionResultType]::ParameterName, 'The repository to run; whatever a delivery says, nothing else is cloned')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'A configuration: several repositories, notifications, statuses at the forge; options given here win over it')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'A configuration: several repositories, notifications, statuses at the forge; options given here win over it')
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'Where to listen [default: 127.0.0.1:8321]')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Where people reach it, for links in notifications and statuses, as `https://ci.example.com`')
            [CompletionResult]::new('--webhook-secret-file', '--webhook-secret-file', [CompletionResultType]::ParameterName, 'The secret of the forge''s webhook, in a file that only you can read [default: the one in the state folder]')
            [CompletionResult]::new('--webhook-secret', '--webhook-secret', [CompletionResultType]::ParameterName, 'The secret of the forge''s webhook')
            [CompletionResult]::new('--poll', '--poll', [CompletionResultType]::ParameterName, 'Also looks at the repository''s branches and tags so often, as `60s`: for where no forge can reach')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]')
            [CompletionResult]::new('--runs', '--runs', [CompletionResultType]::ParameterName, 'How many runs go on at once [default: 1]')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'How many jobs of a run go on at once [default: the number of cores]')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'How many jobs of a run go on at once [default: the number of cores]')
            [CompletionResult]::new('--capacity', '--capacity', [CompletionResultType]::ParameterName, 'How many runs may wait; deliveries beyond are told to come again [default: 10000]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Time for each run, as `90s`, `10m`, `1h30m`')
            [CompletionResult]::new('--drain', '--drain', [CompletionResultType]::ParameterName, 'How long runs may go on after SIGTERM, before they are handed back to the queue [default: 10s]')
            [CompletionResult]::new('--pull', '--pull', [CompletionResultType]::ParameterName, 'When to pull images [default: missing]')
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment')
            [CompletionResult]::new('--env-file', '--env-file', [CompletionResultType]::ParameterName, 'Reads environment variables from a file of NAME=VALUE lines')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output')
            [CompletionResult]::new('--secret', '--secret', [CompletionResultType]::ParameterName, 'Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output')
            [CompletionResult]::new('--secret-file', '--secret-file', [CompletionResultType]::ParameterName, 'Reads secrets from a file of NAME=VALUE lines, which only you may be able to read')
            [CompletionResult]::new('--egress', '--egress', [CompletionResultType]::ParameterName, 'What containers reach: the internet alone, where that can be seen to, or all that the engine''s bridge does [default: internet]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--no-dashboard', '--no-dashboard', [CompletionResultType]::ParameterName, 'Has no dashboard: only webhooks and `argon trigger` are answered')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Says whether it could begin, and does not; changes nothing, also beside a listener that runs')
            [CompletionResult]::new('--log-json', '--log-json', [CompletionResultType]::ParameterName, 'Logs one JSON object a line')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;trigger' {
            [CompletionResult]::new('--repo', '--repo', [CompletionResultType]::ParameterName, 'Which of its repositories, by URL or name, where it has several')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Where it listens')
            [CompletionResult]::new('--webhook-secret-file', '--webhook-secret-file', [CompletionResultType]::ParameterName, 'The secret of the forge''s webhook, in a file that only you can read [default: the one in the state folder]')
            [CompletionResult]::new('--webhook-secret', '--webhook-secret', [CompletionResultType]::ParameterName, 'The secret of the forge''s webhook')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;ui' {
            [CompletionResult]::new('--bind', '--bind', [CompletionResultType]::ParameterName, 'Where it is')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Where people reach that listener')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--no-open', '--no-open', [CompletionResultType]::ParameterName, 'Prints the link, and opens no browser')
            [CompletionResult]::new('--link', '--link', [CompletionResultType]::ParameterName, 'Prints another link into the dashboard of a listener with this state folder, and ends')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;init' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replaces a file that is there')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;doctor' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'argon;clean' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Removes every container, network and volume of Argon''s: also those of runs that are going on, here or on another machine')
            [CompletionResult]::new('--workspaces', '--workspaces', [CompletionResultType]::ParameterName, 'Also removes the snapshots of source trees that are kept for the next run')
            [CompletionResult]::new('--cache', '--cache', [CompletionResultType]::ParameterName, 'Also removes all caches of jobs, and the results of those that declare their inputs')
            [CompletionResult]::new('--images', '--images', [CompletionResultType]::ParameterName, 'Also removes the images that were built for jobs, but for those that run')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;lsp' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('--stdio', '--stdio', [CompletionResultType]::ParameterName, 'Standard input and output; the default, which some editors insist on naming')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;completions' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'argon;man' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'argon;help' {
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Runs the pipeline, or some of its jobs')
            [CompletionResult]::new('validate', 'validate', [CompletionResultType]::ParameterValue, 'Checks pipeline files, and says what is wrong to the column')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Prints the JSON Schema of the pipeline file, for editors')
            [CompletionResult]::new('runs', 'runs', [CompletionResultType]::ParameterValue, 'Lists the runs that were, the latest first; of the repository here, where there is one')
            [CompletionResult]::new('logs', 'logs', [CompletionResultType]::ParameterValue, 'Shows what the steps of a run printed')
            [CompletionResult]::new('artifacts', 'artifacts', [CompletionResultType]::ParameterValue, 'Lists the artifacts of a run, and gets them')
            [CompletionResult]::new('secret', 'secret', [CompletionResultType]::ParameterValue, 'Keeps secrets for the steps that list them under `secrets`')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Lists the jobs of the pipeline')
            [CompletionResult]::new('graph', 'graph', [CompletionResultType]::ParameterValue, 'Draws which job needs which')
            [CompletionResult]::new('listen', 'listen', [CompletionResultType]::ParameterValue, 'Runs the pipeline of a repository when its forge says that something was pushed')
            [CompletionResult]::new('trigger', 'trigger', [CompletionResultType]::ParameterValue, 'Has a listener run its repository''s pipeline now')
            [CompletionResult]::new('ui', 'ui', [CompletionResultType]::ParameterValue, 'Shows the runs that were, and go on, in a browser')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Writes a first `.runnerci.yml`, for Cargo, npm, Python, Go or Maven')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Looks for the engine, and says what Argon found and what will not work')
            [CompletionResult]::new('clean', 'clean', [CompletionResultType]::ParameterValue, 'Removes what crashed runs left on the engine')
            [CompletionResult]::new('lsp', 'lsp', [CompletionResultType]::ParameterValue, 'Serves an editor: findings, completion, hover, definitions, renames in pipeline files')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Prints the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Prints a manual page: `argon man run | man -l -`')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'argon;help;run' {
            break
        }
        'argon;help;validate' {
            break
        }
        'argon;help;schema' {
            break
        }
        'argon;help;runs' {
            break
        }
        'argon;help;logs' {
            break
        }
        'argon;help;artifacts' {
            break
        }
        'argon;help;secret' {
            [CompletionResult]::new('set', 'set', [CompletionResultType]::ParameterValue, 'Keeps a secret: asks for it, or reads it from standard input')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'Lists the names of the secrets that runs of the repository here may ask for, and where each is')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Forgets a secret')
            break
        }
        'argon;help;secret;set' {
            break
        }
        'argon;help;secret;list' {
            break
        }
        'argon;help;secret;rm' {
            break
        }
        'argon;help;list' {
            break
        }
        'argon;help;graph' {
            break
        }
        'argon;help;listen' {
            break
        }
        'argon;help;trigger' {
            break
        }
        'argon;help;ui' {
            break
        }
        'argon;help;init' {
            break
        }
        'argon;help;doctor' {
            break
        }
        'argon;help;clean' {
            break
        }
        'argon;help;lsp' {
            break
        }
        'argon;help;completions' {
            break
        }
        'argon;help;man' {
            break
        }
        'argon;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
