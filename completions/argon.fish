# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_argon_global_optspecs
    string join \n color= h/help V/version
end

function __fish_argon_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_argon_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_argon_using_subcommand
    set -l cmd (__fish_argon_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c argon -n "__fish_argon_needs_command" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_needs_command" -s h -l help -d 'Print help'
complete -c argon -n "__fish_argon_needs_command" -s V -l version -d 'Print version'
complete -c argon -n "__fish_argon_needs_command" -f -a "run" -d 'Runs the pipeline, or some of its jobs'
complete -c argon -n "__fish_argon_needs_command" -f -a "validate" -d 'Checks pipeline files, and says what is wrong to the column'
complete -c argon -n "__fish_argon_needs_command" -f -a "schema" -d 'Prints the JSON Schema of the pipeline file, for editors'
complete -c argon -n "__fish_argon_needs_command" -f -a "runs" -d 'Lists the runs that were, the latest first; of the repository here, where there is one'
complete -c argon -n "__fish_argon_needs_command" -f -a "logs" -d 'Shows what the steps of a run printed'
complete -c argon -n "__fish_argon_needs_command" -f -a "artifacts" -d 'Lists the artifacts of a run, and gets them'
complete -c argon -n "__fish_argon_needs_command" -f -a "secret" -d 'Keeps secrets for the steps that list them under `secrets`'
complete -c argon -n "__fish_argon_needs_command" -f -a "list" -d 'Lists the jobs of the pipeline'
complete -c argon -n "__fish_argon_needs_command" -f -a "graph" -d 'Draws which job needs which'
complete -c argon -n "__fish_argon_needs_command" -f -a "listen" -d 'Runs the pipeline of a repository when its forge says that something was pushed'
complete -c argon -n "__fish_argon_needs_command" -f -a "trigger" -d 'Has a listener run its repository\'s pipeline now'
complete -c argon -n "__fish_argon_needs_command" -f -a "ui" -d 'Shows the runs that were, and go on, in a browser'
complete -c argon -n "__fish_argon_needs_command" -f -a "init" -d 'Writes a first `.runnerci.yml`, for Cargo, npm, Python, Go or Maven'
complete -c argon -n "__fish_argon_needs_command" -f -a "doctor" -d 'Looks for the engine, and says what Argon found and what will not work'
complete -c argon -n "__fish_argon_needs_command" -f -a "clean" -d 'Removes what crashed runs left on the engine'
complete -c argon -n "__fish_argon_needs_command" -f -a "lsp" -d 'Serves an editor: findings, completion, hover, definitions, renames in pipeline files'
complete -c argon -n "__fish_argon_needs_command" -f -a "completions" -d 'Prints the completion script of a shell'
complete -c argon -n "__fish_argon_needs_command" -f -a "man" -d 'Prints a manual page: `argon man run | man -l -`'
complete -c argon -n "__fish_argon_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c argon -n "__fish_argon_using_subcommand run" -s f -l file -d 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]' -r -F
complete -c argon -n "__fish_argon_using_subcommand run" -l repo -d 'Runs a clean checkout of this repository instead of the working tree' -r
complete -c argon -n "__fish_argon_using_subcommand run" -l commit -d 'Runs a clean checkout of this commit, branch or tag' -r
complete -c argon -n "__fish_argon_using_subcommand run" -l matrix -d 'Runs the combinations of a matrix with this value alone; given twice for one name, either value counts' -r
complete -c argon -n "__fish_argon_using_subcommand run" -l event -d 'Runs as this event would: only where `on` wants it [default: `on` is not asked]' -r -f -a "push\t'A push of a branch or a tag'
pull-request\t'A pull request'
schedule\t'A moment of `on.schedule`'
manual\t'A person'"
complete -c argon -n "__fish_argon_using_subcommand run" -l event-file -d 'Reads the event from the body of a webhook (GitHub, GitLab, Gitea, Forgejo, Bitbucket); `-` is standard input' -r -F
complete -c argon -n "__fish_argon_using_subcommand run" -s e -l env -d 'Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment' -r
complete -c argon -n "__fish_argon_using_subcommand run" -l env-file -d 'Reads environment variables from a file of NAME=VALUE lines' -r -F
complete -c argon -n "__fish_argon_using_subcommand run" -s s -l secret -d 'Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output' -r
complete -c argon -n "__fish_argon_using_subcommand run" -l secret-file -d 'Reads secrets from a file of NAME=VALUE lines, which only you may be able to read' -r -F
complete -c argon -n "__fish_argon_using_subcommand run" -l allow -d 'Lets jobs have what their `security` asks for beyond the sandbox: `privileged`, or a capability such as `SYS_PTRACE`' -r
complete -c argon -n "__fish_argon_using_subcommand run" -l image -d 'Runs jobs that name the image FROM in the image TO' -r
complete -c argon -n "__fish_argon_using_subcommand run" -l pull -d 'When to pull images' -r -f -a "missing\t'When the engine does not have them'
always\t'Every run'
never\t'Never'"
complete -c argon -n "__fish_argon_using_subcommand run" -s j -l jobs -d 'How many jobs run at once [default: the number of cores]' -r
complete -c argon -n "__fish_argon_using_subcommand run" -l timeout -d 'Time for the whole run, as `90s`, `10m`, `1h30m`' -r
complete -c argon -n "__fish_argon_using_subcommand run" -l grace -d 'From TERM to KILL, when a step is stopped [default: 10s]' -r
complete -c argon -n "__fish_argon_using_subcommand run" -l output -d 'How the run is shown' -r -f -a "auto\t'A live view on a terminal, plain lines elsewhere'
tui\t'The live view'
plain\t'Plain lines'
json\t'One JSON object a line'"
complete -c argon -n "__fish_argon_using_subcommand run" -l junit -d 'Also writes a JUnit XML report' -r -F
complete -c argon -n "__fish_argon_using_subcommand run" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand run" -l only -d 'Runs the named jobs without what they need'
complete -c argon -n "__fish_argon_using_subcommand run" -s k -l keep-going -d 'After a failure, runs all that does not need the failed job'
complete -c argon -n "__fish_argon_using_subcommand run" -l no-cache -d 'Also runs the jobs that are cached, as nothing that they rest on has changed'
complete -c argon -n "__fish_argon_using_subcommand run" -l dry-run -d 'Shows what would run, and runs nothing'
complete -c argon -n "__fish_argon_using_subcommand run" -s q -l quiet -d 'Shows failures only'
complete -c argon -n "__fish_argon_using_subcommand run" -s v -l verbose -d 'Shows what Argon does'
complete -c argon -n "__fish_argon_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand validate" -l stdin-path -d 'The name to show for standard input' -r -F
complete -c argon -n "__fish_argon_using_subcommand validate" -l format -d 'How to show what was found' -r -f -a "human\t'For people: with the lines of the file'
json\t'An array of objects'
short\t'`file:line:column: severity: message`'
github\t'Annotations of GitHub Actions'
sarif\t'SARIF 2.1.0, for code scanning'"
complete -c argon -n "__fish_argon_using_subcommand validate" -l explain -d 'Tell what a finding\'s code means, and how to put it right; check nothing' -r
complete -c argon -n "__fish_argon_using_subcommand validate" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand validate" -l strict -d 'Treat warnings as errors'
complete -c argon -n "__fish_argon_using_subcommand validate" -l print -d 'Print the pipeline as it will be run, as one file: includes merged, aliases and defaults applied'
complete -c argon -n "__fish_argon_using_subcommand validate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand schema" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand runs" -l repo -d 'Runs of this repository, by folder or URL' -r
complete -c argon -n "__fish_argon_using_subcommand runs" -s b -l branch -d 'Runs of this branch' -r
complete -c argon -n "__fish_argon_using_subcommand runs" -s s -l status -d 'Runs that ended so, or go on; may be given several times' -r -f -a "success\t''
failure\t''
cancelled\t''
skipped\t''
error\t''
interrupted\t''
running\t''"
complete -c argon -n "__fish_argon_using_subcommand runs" -l search -d 'Runs with this text in a log, or in what argon said' -r
complete -c argon -n "__fish_argon_using_subcommand runs" -s n -l limit -d 'How many at most' -r
complete -c argon -n "__fish_argon_using_subcommand runs" -l state -d 'The state folder, where history, logs and a listener\'s queue are [default: $XDG_STATE_HOME/argon]' -r -F
complete -c argon -n "__fish_argon_using_subcommand runs" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand runs" -s a -l all -d 'Runs of all repositories'
complete -c argon -n "__fish_argon_using_subcommand runs" -l json -d 'Prints one JSON array; with RUN, one object'
complete -c argon -n "__fish_argon_using_subcommand runs" -s h -l help -d 'Print help'
complete -c argon -n "__fish_argon_using_subcommand logs" -l job -d 'This job alone' -r
complete -c argon -n "__fish_argon_using_subcommand logs" -l step -d 'This step alone, by name or number' -r
complete -c argon -n "__fish_argon_using_subcommand logs" -l service -d 'What a service of a job wrote, instead of what steps printed' -r
complete -c argon -n "__fish_argon_using_subcommand logs" -l state -d 'The state folder, where history, logs and a listener\'s queue are [default: $XDG_STATE_HOME/argon]' -r -F
complete -c argon -n "__fish_argon_using_subcommand logs" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand logs" -l failed -d 'Steps that failed alone'
complete -c argon -n "__fish_argon_using_subcommand logs" -s f -l follow -d 'Goes on for as long as the run does'
complete -c argon -n "__fish_argon_using_subcommand logs" -l raw -d 'The bytes as the steps wrote them, and nothing else'
complete -c argon -n "__fish_argon_using_subcommand logs" -l json -d 'The run\'s events as JSON, one a line, as `argon run --output json` has them, without the steps\' output'
complete -c argon -n "__fish_argon_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand artifacts" -l job -d 'Those of this job alone: its name, or of a matrix the name of all or of one' -r
complete -c argon -n "__fish_argon_using_subcommand artifacts" -l get -d 'Gets the artifact of this name; may be given more than once. Where several jobs have it, each is below a folder of its job' -r
complete -c argon -n "__fish_argon_using_subcommand artifacts" -s o -l out -d 'The folder to put them in' -r -F
complete -c argon -n "__fish_argon_using_subcommand artifacts" -l state -d 'The state folder, where history, logs and a listener\'s queue are [default: $XDG_STATE_HOME/argon]' -r -F
complete -c argon -n "__fish_argon_using_subcommand artifacts" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand artifacts" -l all -d 'Gets all of them, each below a folder of its name'
complete -c argon -n "__fish_argon_using_subcommand artifacts" -l json -d 'The list as JSON'
complete -c argon -n "__fish_argon_using_subcommand artifacts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand secret; and not __fish_seen_subcommand_from set list rm help" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand secret; and not __fish_seen_subcommand_from set list rm help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand secret; and not __fish_seen_subcommand_from set list rm help" -f -a "set" -d 'Keeps a secret: asks for it, or reads it from standard input'
complete -c argon -n "__fish_argon_using_subcommand secret; and not __fish_seen_subcommand_from set list rm help" -f -a "list" -d 'Lists the names of the secrets that runs of the repository here may ask for, and where each is'
complete -c argon -n "__fish_argon_using_subcommand secret; and not __fish_seen_subcommand_from set list rm help" -f -a "rm" -d 'Forgets a secret'
complete -c argon -n "__fish_argon_using_subcommand secret; and not __fish_seen_subcommand_from set list rm help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from set" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from set" -l everywhere -d 'For every repository'
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help'
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from list" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from rm" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from rm" -l everywhere -d 'The one for every repository'
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "set" -d 'Keeps a secret: asks for it, or reads it from standard input'
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists the names of the secrets that runs of the repository here may ask for, and where each is'
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Forgets a secret'
complete -c argon -n "__fish_argon_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c argon -n "__fish_argon_using_subcommand list" -s f -l file -d 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]' -r -F
complete -c argon -n "__fish_argon_using_subcommand list" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand list" -l json -d 'Prints one JSON array'
complete -c argon -n "__fish_argon_using_subcommand list" -s h -l help -d 'Print help'
complete -c argon -n "__fish_argon_using_subcommand graph" -s f -l file -d 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]' -r -F
complete -c argon -n "__fish_argon_using_subcommand graph" -l format -d 'Text for a terminal, or Mermaid for Markdown' -r -f -a "text\t'The jobs in stages: what can run at once stands together'
mermaid\t'A Mermaid flowchart'"
complete -c argon -n "__fish_argon_using_subcommand graph" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand graph" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand listen" -l repo -d 'The repository to run; whatever a delivery says, nothing else is cloned' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -s c -l config -d 'A configuration: several repositories, notifications, statuses at the forge; options given here win over it' -r -F
complete -c argon -n "__fish_argon_using_subcommand listen" -l bind -d 'Where to listen [default: 127.0.0.1:8321]' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -l url -d 'Where people reach it, for links in notifications and statuses, as `https://ci.example.com`' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -l webhook-secret-file -d 'The secret of the forge\'s webhook, in a file that only you can read [default: the one in the state folder]' -r -F
complete -c argon -n "__fish_argon_using_subcommand listen" -l webhook-secret -d 'The secret of the forge\'s webhook' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -l poll -d 'Also looks at the repository\'s branches and tags so often, as `60s`: for where no forge can reach' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -l state -d 'The state folder, where history, logs and a listener\'s queue are [default: $XDG_STATE_HOME/argon]' -r -F
complete -c argon -n "__fish_argon_using_subcommand listen" -l runs -d 'How many runs go on at once [default: 1]' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -s j -l jobs -d 'How many jobs of a run go on at once [default: the number of cores]' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -l capacity -d 'How many runs may wait; deliveries beyond are told to come again [default: 10000]' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -l timeout -d 'Time for each run, as `90s`, `10m`, `1h30m`' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -l drain -d 'How long runs may go on after SIGTERM, before they are handed back to the queue [default: 10s]' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -l pull -d 'When to pull images [default: missing]' -r -f -a "missing\t'When the engine does not have them'
always\t'Every run'
never\t'Never'"
complete -c argon -n "__fish_argon_using_subcommand listen" -s e -l env -d 'Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -l env-file -d 'Reads environment variables from a file of NAME=VALUE lines' -r -F
complete -c argon -n "__fish_argon_using_subcommand listen" -s s -l secret -d 'Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output' -r
complete -c argon -n "__fish_argon_using_subcommand listen" -l secret-file -d 'Reads secrets from a file of NAME=VALUE lines, which only you may be able to read' -r -F
complete -c argon -n "__fish_argon_using_subcommand listen" -l egress -d 'What containers reach: the internet alone, where that can be seen to, or all that the engine\'s bridge does [default: internet]' -r -f -a "internet\t'Not this machine, its local network, nor a cloud\'s metadata service'
all\t'All that the engine\'s own bridge does'"
complete -c argon -n "__fish_argon_using_subcommand listen" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand listen" -l no-dashboard -d 'Has no dashboard: only webhooks and `argon trigger` are answered'
complete -c argon -n "__fish_argon_using_subcommand listen" -l check -d 'Says whether it could begin, and does not; changes nothing, also beside a listener that runs'
complete -c argon -n "__fish_argon_using_subcommand listen" -l log-json -d 'Logs one JSON object a line'
complete -c argon -n "__fish_argon_using_subcommand listen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand trigger" -l repo -d 'Which of its repositories, by URL or name, where it has several' -r
complete -c argon -n "__fish_argon_using_subcommand trigger" -l url -d 'Where it listens' -r
complete -c argon -n "__fish_argon_using_subcommand trigger" -l webhook-secret-file -d 'The secret of the forge\'s webhook, in a file that only you can read [default: the one in the state folder]' -r -F
complete -c argon -n "__fish_argon_using_subcommand trigger" -l webhook-secret -d 'The secret of the forge\'s webhook' -r
complete -c argon -n "__fish_argon_using_subcommand trigger" -l state -d 'The state folder, where history, logs and a listener\'s queue are [default: $XDG_STATE_HOME/argon]' -r -F
complete -c argon -n "__fish_argon_using_subcommand trigger" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand trigger" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand ui" -l bind -d 'Where it is' -r
complete -c argon -n "__fish_argon_using_subcommand ui" -l url -d 'Where people reach that listener' -r
complete -c argon -n "__fish_argon_using_subcommand ui" -l state -d 'The state folder, where history, logs and a listener\'s queue are [default: $XDG_STATE_HOME/argon]' -r -F
complete -c argon -n "__fish_argon_using_subcommand ui" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand ui" -l no-open -d 'Prints the link, and opens no browser'
complete -c argon -n "__fish_argon_using_subcommand ui" -l link -d 'Prints another link into the dashboard of a listener with this state folder, and ends'
complete -c argon -n "__fish_argon_using_subcommand ui" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand init" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand init" -l force -d 'Replaces a file that is there'
complete -c argon -n "__fish_argon_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand doctor" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c argon -n "__fish_argon_using_subcommand clean" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand clean" -l all -d 'Removes every container, network and volume of Argon\'s: also those of runs that are going on, here or on another machine'
complete -c argon -n "__fish_argon_using_subcommand clean" -l workspaces -d 'Also removes the snapshots of source trees that are kept for the next run'
complete -c argon -n "__fish_argon_using_subcommand clean" -l cache -d 'Also removes all caches of jobs, and the results of those that declare their inputs'
complete -c argon -n "__fish_argon_using_subcommand clean" -l images -d 'Also removes the images that were built for jobs, but for those that run'
complete -c argon -n "__fish_argon_using_subcommand clean" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand lsp" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand lsp" -l stdio -d 'Standard input and output; the default, which some editors insist on naming'
complete -c argon -n "__fish_argon_using_subcommand lsp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand completions" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c argon -n "__fish_argon_using_subcommand man" -l color -d 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE' -r -f -a "auto\t''
always\t''
never\t''"
complete -c argon -n "__fish_argon_using_subcommand man" -s h -l help -d 'Print help'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "run" -d 'Runs the pipeline, or some of its jobs'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "validate" -d 'Checks pipeline files, and says what is wrong to the column'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "schema" -d 'Prints the JSON Schema of the pipeline file, for editors'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "runs" -d 'Lists the runs that were, the latest first; of the repository here, where there is one'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "logs" -d 'Shows what the steps of a run printed'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "artifacts" -d 'Lists the artifacts of a run, and gets them'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "secret" -d 'Keeps secrets for the steps that list them under `secrets`'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "list" -d 'Lists the jobs of the pipeline'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "graph" -d 'Draws which job needs which'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "listen" -d 'Runs the pipeline of a repository when its forge says that something was pushed'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "trigger" -d 'Has a listener run its repository\'s pipeline now'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "ui" -d 'Shows the runs that were, and go on, in a browser'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "init" -d 'Writes a first `.runnerci.yml`, for Cargo, npm, Python, Go or Maven'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "doctor" -d 'Looks for the engine, and says what Argon found and what will not work'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "clean" -d 'Removes what crashed runs left on the engine'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "lsp" -d 'Serves an editor: findings, completion, hover, definitions, renames in pipeline files'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "completions" -d 'Prints the completion script of a shell'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "man" -d 'Prints a manual page: `argon man run | man -l -`'
complete -c argon -n "__fish_argon_using_subcommand help; and not __fish_seen_subcommand_from run validate schema runs logs artifacts secret list graph listen trigger ui init doctor clean lsp completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c argon -n "__fish_argon_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "set" -d 'Keeps a secret: asks for it, or reads it from standard input'
complete -c argon -n "__fish_argon_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "list" -d 'Lists the names of the secrets that runs of the repository here may ask for, and where each is'
complete -c argon -n "__fish_argon_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "rm" -d 'Forgets a secret'
