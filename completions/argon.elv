
use builtin;
use str;

set edit:completion:arg-completer[argon] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'argon'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'argon'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand run 'Runs the pipeline, or some of its jobs'
            cand validate 'Checks pipeline files, and says what is wrong to the column'
            cand schema 'Prints the JSON Schema of the pipeline file, for editors'
            cand runs 'Lists the runs that were, the latest first; of the repository here, where there is one'
            cand logs 'Shows what the steps of a run printed'
            cand artifacts 'Lists the artifacts of a run, and gets them'
            cand secret 'Keeps secrets for the steps that list them under `secrets`'
            cand list 'Lists the jobs of the pipeline'
            cand graph 'Draws which job needs which'
            cand listen 'Runs the pipeline of a repository when its forge says that something was pushed'
            cand trigger 'Has a listener run its repository''s pipeline now'
            cand ui 'Shows the runs that were, and go on, in a browser'
            cand init 'Writes a first `.runnerci.yml`, for Cargo, npm, Python, Go or Maven'
            cand doctor 'Looks for the engine, and says what Argon found and what will not work'
            cand clean 'Removes what crashed runs left on the engine'
            cand lsp 'Serves an editor: findings, completion, hover, definitions, renames in pipeline files'
            cand completions 'Prints the completion script of a shell'
            cand man 'Prints a manual page: `argon man run | man -l -`'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'argon;run'= {
            cand -f 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]'
            cand --file 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]'
            cand --repo 'Runs a clean checkout of this repository instead of the working tree'
            cand --commit 'Runs a clean checkout of this commit, branch or tag'
            cand --matrix 'Runs the combinations of a matrix with this value alone; given twice for one name, either value counts'
            cand --event 'Runs as this event would: only where `on` wants it [default: `on` is not asked]'
            cand --event-file 'Reads the event from the body of a webhook (GitHub, GitLab, Gitea, Forgejo, Bitbucket); `-` is standard input'
            cand -e 'Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment'
            cand --env 'Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment'
            cand --env-file 'Reads environment variables from a file of NAME=VALUE lines'
            cand -s 'Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output'
            cand --secret 'Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output'
            cand --secret-file 'Reads secrets from a file of NAME=VALUE lines, which only you may be able to read'
            cand --allow 'Lets jobs have what their `security` asks for beyond the sandbox: `privileged`, or a capability such as `SYS_PTRACE`'
            cand --image 'Runs jobs that name the image FROM in the image TO'
            cand --pull 'When to pull images'
            cand -j 'How many jobs run at once [default: the number of cores]'
            cand --jobs 'How many jobs run at once [default: the number of cores]'
            cand --timeout 'Time for the whole run, as `90s`, `10m`, `1h30m`'
            cand --grace 'From TERM to KILL, when a step is stopped [default: 10s]'
            cand --output 'How the run is shown'
            cand --junit 'Also writes a JUnit XML report'
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --only 'Runs the named jobs without what they need'
            cand -k 'After a failure, runs all that does not need the failed job'
            cand --keep-going 'After a failure, runs all that does not need the failed job'
            cand --no-cache 'Also runs the jobs that are cached, as nothing that they rest on has changed'
            cand --dry-run 'Shows what would run, and runs nothing'
            cand -q 'Shows failures only'
            cand --quiet 'Shows failures only'
            cand -v 'Shows what Argon does'
            cand --verbose 'Shows what Argon does'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;validate'= {
            cand --stdin-path 'The name to show for standard input'
            cand --format 'How to show what was found'
            cand --explain 'Tell what a finding''s code means, and how to put it right; check nothing'
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --strict 'Treat warnings as errors'
            cand --print 'Print the pipeline as it will be run, as one file: includes merged, aliases and defaults applied'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;schema'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;runs'= {
            cand --repo 'Runs of this repository, by folder or URL'
            cand -b 'Runs of this branch'
            cand --branch 'Runs of this branch'
            cand -s 'Runs that ended so, or go on; may be given several times'
            cand --status 'Runs that ended so, or go on; may be given several times'
            cand --search 'Runs with this text in a log, or in what argon said'
            cand -n 'How many at most'
            cand --limit 'How many at most'
            cand --state 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]'
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand -a 'Runs of all repositories'
            cand --all 'Runs of all repositories'
            cand --json 'Prints one JSON array; with RUN, one object'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'argon;logs'= {
            cand --job 'This job alone'
            cand --step 'This step alone, by name or number'
            cand --service 'What a service of a job wrote, instead of what steps printed'
            cand --state 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]'
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --failed 'Steps that failed alone'
            cand -f 'Goes on for as long as the run does'
            cand --follow 'Goes on for as long as the run does'
            cand --raw 'The bytes as the steps wrote them, and nothing else'
            cand --json 'The run''s events as JSON, one a line, as `argon run --output json` has them, without the steps'' output'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;artifacts'= {
            cand --job 'Those of this job alone: its name, or of a matrix the name of all or of one'
            cand --get 'Gets the artifact of this name; may be given more than once. Where several jobs have it, each is below a folder of its job'
            cand -o 'The folder to put them in'
            cand --out 'The folder to put them in'
            cand --state 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]'
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --all 'Gets all of them, each below a folder of its name'
            cand --json 'The list as JSON'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;secret'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand set 'Keeps a secret: asks for it, or reads it from standard input'
            cand list 'Lists the names of the secrets that runs of the repository here may ask for, and where each is'
            cand rm 'Forgets a secret'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'argon;secret;set'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --everywhere 'For every repository'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'argon;secret;list'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'argon;secret;rm'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --everywhere 'The one for every repository'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'argon;secret;help'= {
            cand set 'Keeps a secret: asks for it, or reads it from standard input'
            cand list 'Lists the names of the secrets that runs of the repository here may ask for, and where each is'
            cand rm 'Forgets a secret'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'argon;secret;help;set'= {
        }
        &'argon;secret;help;list'= {
        }
        &'argon;secret;help;rm'= {
        }
        &'argon;secret;help;help'= {
        }
        &'argon;list'= {
            cand -f 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]'
            cand --file 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]'
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --json 'Prints one JSON array'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'argon;graph'= {
            cand -f 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]'
            cand --file 'The pipeline file [default: .runnerci.yml here or in the nearest folder above]'
            cand --format 'Text for a terminal, or Mermaid for Markdown'
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;listen'= {
            cand --repo 'The repository to run; whatever a delivery says, nothing else is cloned'
            cand -c 'A configuration: several repositories, notifications, statuses at the forge; options given here win over it'
            cand --config 'A configuration: several repositories, notifications, statuses at the forge; options given here win over it'
            cand --bind 'Where to listen [default: 127.0.0.1:8321]'
            cand --url 'Where people reach it, for links in notifications and statuses, as `https://ci.example.com`'
            cand --webhook-secret-file 'The secret of the forge''s webhook, in a file that only you can read [default: the one in the state folder]'
            cand --webhook-secret 'The secret of the forge''s webhook'
            cand --poll 'Also looks at the repository''s branches and tags so often, as `60s`: for where no forge can reach'
            cand --state 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]'
            cand --runs 'How many runs go on at once [default: 1]'
            cand -j 'How many jobs of a run go on at once [default: the number of cores]'
            cand --jobs 'How many jobs of a run go on at once [default: the number of cores]'
            cand --capacity 'How many runs may wait; deliveries beyond are told to come again [default: 10000]'
            cand --timeout 'Time for each run, as `90s`, `10m`, `1h30m`'
            cand --drain 'How long runs may go on after SIGTERM, before they are handed back to the queue [default: 10s]'
            cand --pull 'When to pull images [default: missing]'
            cand -e 'Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment'
            cand --env 'Sets an environment variable of all steps, over what the file says; without a value it is taken from the environment'
            cand --env-file 'Reads environment variables from a file of NAME=VALUE lines'
            cand -s 'Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output'
            cand --secret 'Gives a secret to the steps that ask for it; without a value it is taken from the environment. Masked in every output'
            cand --secret-file 'Reads secrets from a file of NAME=VALUE lines, which only you may be able to read'
            cand --egress 'What containers reach: the internet alone, where that can be seen to, or all that the engine''s bridge does [default: internet]'
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --no-dashboard 'Has no dashboard: only webhooks and `argon trigger` are answered'
            cand --check 'Says whether it could begin, and does not; changes nothing, also beside a listener that runs'
            cand --log-json 'Logs one JSON object a line'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;trigger'= {
            cand --repo 'Which of its repositories, by URL or name, where it has several'
            cand --url 'Where it listens'
            cand --webhook-secret-file 'The secret of the forge''s webhook, in a file that only you can read [default: the one in the state folder]'
            cand --webhook-secret 'The secret of the forge''s webhook'
            cand --state 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]'
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;ui'= {
            cand --bind 'Where it is'
            cand --url 'Where people reach that listener'
            cand --state 'The state folder, where history, logs and a listener''s queue are [default: $XDG_STATE_HOME/argon]'
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --no-open 'Prints the link, and opens no browser'
            cand --link 'Prints another link into the dashboard of a listener with this state folder, and ends'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;init'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --force 'Replaces a file that is there'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;doctor'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'argon;clean'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --all 'Removes every container, network and volume of Argon''s: also those of runs that are going on, here or on another machine'
            cand --workspaces 'Also removes the snapshots of source trees that are kept for the next run'
            cand --cache 'Also removes all caches of jobs, and the results of those that declare their inputs'
            cand --images 'Also removes the images that were built for jobs, but for those that run'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;lsp'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand --stdio 'Standard input and output; the default, which some editors insist on naming'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;completions'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'argon;man'= {
            cand --color 'Colour in what people read; `auto` is on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'argon;help'= {
            cand run 'Runs the pipeline, or some of its jobs'
            cand validate 'Checks pipeline files, and says what is wrong to the column'
            cand schema 'Prints the JSON Schema of the pipeline file, for editors'
            cand runs 'Lists the runs that were, the latest first; of the repository here, where there is one'
            cand logs 'Shows what the steps of a run printed'
            cand artifacts 'Lists the artifacts of a run, and gets them'
            cand secret 'Keeps secrets for the steps that list them under `secrets`'
            cand list 'Lists the jobs of the pipeline'
            cand graph 'Draws which job needs which'
            cand listen 'Runs the pipeline of a repository when its forge says that something was pushed'
            cand trigger 'Has a listener run its repository''s pipeline now'
            cand ui 'Shows the runs that were, and go on, in a browser'
            cand init 'Writes a first `.runnerci.yml`, for Cargo, npm, Python, Go or Maven'
            cand doctor 'Looks for the engine, and says what Argon found and what will not work'
            cand clean 'Removes what crashed runs left on the engine'
            cand lsp 'Serves an editor: findings, completion, hover, definitions, renames in pipeline files'
            cand completions 'Prints the completion script of a shell'
            cand man 'Prints a manual page: `argon man run | man -l -`'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'argon;help;run'= {
        }
        &'argon;help;validate'= {
        }
        &'argon;help;schema'= {
        }
        &'argon;help;runs'= {
        }
        &'argon;help;logs'= {
        }
        &'argon;help;artifacts'= {
        }
        &'argon;help;secret'= {
            cand set 'Keeps a secret: asks for it, or reads it from standard input'
            cand list 'Lists the names of the secrets that runs of the repository here may ask for, and where each is'
            cand rm 'Forgets a secret'
        }
        &'argon;help;secret;set'= {
        }
        &'argon;help;secret;list'= {
        }
        &'argon;help;secret;rm'= {
        }
        &'argon;help;list'= {
        }
        &'argon;help;graph'= {
        }
        &'argon;help;listen'= {
        }
        &'argon;help;trigger'= {
        }
        &'argon;help;ui'= {
        }
        &'argon;help;init'= {
        }
        &'argon;help;doctor'= {
        }
        &'argon;help;clean'= {
        }
        &'argon;help;lsp'= {
        }
        &'argon;help;completions'= {
        }
        &'argon;help;man'= {
        }
        &'argon;help;help'= {
        }
    ]
    $completions[$command]
}
