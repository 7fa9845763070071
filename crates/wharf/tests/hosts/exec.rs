//! `wharf exec`: commands in real containers, through the API, the plane's relay and the host's agent.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use nix::pty::{Winsize, openpty};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::{Machine, kill, wait_for, wharf};

const NOT_ENABLED: &str = "The execute command failed because execute command was not enabled when \
                           the task was run or the execute command agent isn't running. Wait and \
                           try again or run a new task with execute command enabled and try again.";

/// A task whose container waits, with ExecuteCommand.
fn waiting(machine: &Machine) -> String {
    let script = "trap 'exit 0' TERM; while true; do sleep 1; done";
    machine.define("waits", json!({ "command": ["sh", "-c", script], "user": "web" }), json!({}));
    let input = json!({ "taskDefinition": "waits", "enableExecuteCommand": true });
    let answer = machine.call("RunTask", input);
    assert_eq!(answer["failures"], json!([]), "{answer}");
    let arn = answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned();
    machine.wait(&arn, "RUNNING");
    arn
}

fn exec(machine: &Machine, words: &[&str]) -> Command {
    let dir = machine.dir();
    let mut command = wharf(&["exec", "--data-dir", dir.to_str().unwrap()]);
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_command_has_streams_of_its_own_and_an_exit_code() {
    let Some(machine) = Machine::start() else { return };
    commands_have_streams(&machine);
}

pub fn commands_have_streams(machine: &Machine) {
    let arn = waiting(machine);
    let task = machine.task(&arn);
    assert_eq!(task["enableExecuteCommand"], true);
    let agent = &task["containers"][0]["managedAgents"][0];
    assert_eq!(agent["name"], "ExecuteCommandAgent", "{task:#}");
    assert_eq!(agent["lastStatus"], "RUNNING", "{task:#}");

    let script = "echo out; echo err >&2; id -u; echo $ECS_AGENT_URI; exit 7";
    let done = exec(machine, &[&arn, "--", "sh", "-c", script]).output().unwrap();
    assert_eq!(done.status.code(), Some(7), "{done:?}");
    let said = text(&done.stdout);
    // AWS: as root, in the container's environment.
    assert!(said.starts_with("out\n0\nhttp://169.254.170.2/api/"), "{said}");
    assert_eq!(text(&done.stderr), "err\n");

    // By the id's end alone, and the container by its name.
    let id = arn.rsplit('/').next().unwrap();
    let done = exec(machine, &[id, "-c", "app", "--", "true"]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let done = exec(machine, &[id, "--", "/no/such/program"]).output().unwrap();
    assert_eq!(done.status.code(), Some(127), "{done:?}");
    assert!(text(&done.stderr).contains("Unable to start command"), "{done:?}");

    // Bytes of all kinds, more than any window, through a command that gives them back.
    let given: Vec<u8> = (0..400_000u32).map(|n| (n * 31 % 251) as u8).collect();
    let done = piped(&mut exec(machine, &[id, "--", "cat"]), &given);
    assert!(done.status.success(), "{done:?}");
    assert!(done.stdout == given, "{} bytes of {} came back", done.stdout.len(), given.len());

    machine.call("StopTask", json!({ "task": arn }));
    let task = machine.wait(&arn, "STOPPED");
    assert_eq!(task["containers"][0]["managedAgents"][0]["lastStatus"], "STOPPED", "{task:#}");
}

fn piped(command: &mut Command, given: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, given) = (child.stdin.take().unwrap(), given.to_vec());
    let writer = std::thread::spawn(move || drop(stdin.write_all(&given)));
    let done = child.wait_with_output().unwrap();
    writer.join().unwrap();
    done
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let Some(machine) = Machine::start() else { return };
    let arn = waiting(&machine);
    let refused = |input: Value| {
        let answer = machine.client().call("ExecuteCommand", &input.to_string());
        assert_eq!(answer.status, 400, "{}", answer.text);
        let told = answer.json();
        (told["__type"].as_str().unwrap().to_owned(), told["message"].as_str().unwrap().to_owned())
    };
    let asked = |task: &str| json!({ "task": task, "command": "sh", "interactive": true });
    let done = exec(&machine, &[&arn, "-c", "db", "--", "true"]).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(text(&done.stderr).contains("container"), "{done:?}");

    let silent = machine.run("waits", 1).remove(0);
    let task = machine.wait(&silent, "RUNNING");
    assert_eq!(task["enableExecuteCommand"], false);
    assert_eq!(task["containers"][0]["managedAgents"], Value::Null);
    let expected = ("InvalidParameterException".to_owned(), NOT_ENABLED.to_owned());
    assert_eq!(refused(asked(&silent)), expected);

    machine.call("StopTask", json!({ "task": arn }));
    machine.wait(&arn, "STOPPED");
    assert_eq!(refused(asked(&arn)), expected);
    let done = exec(&machine, &[&arn, "--", "true"]).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(text(&done.stderr).contains("was not enabled when"), "{done:?}");
}

/// A program between us and whose terminal we are.
struct Terminal {
    master: File,
    child: Child,
    said: Receiver<Vec<u8>>,
    all: String,
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Terminal {
    fn open(words: &Command, rows: u16, columns: u16) -> Terminal {
        let pair = openpty(Some(&size(rows, columns)), None).unwrap();
        let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        // Of a session of its own, whose terminal this is: sizes are signalled to it.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(words.get_program()).args(words.get_args());
        for (name, value) in words.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(end(&pair.slave)).stdout(end(&pair.slave)).stderr(end(&pair.slave));
        let child = command.spawn().unwrap();
        let master = File::from(pair.master);
        let mut reader = master.try_clone().unwrap();
        let (tell, said) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                if tell.send(piece[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { master, child, said, all: String::new() }
    }

    fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen shows this, and forgets what came before.
    fn shows(&mut self, words: &str) {
        wait_for(&format!("{words:?} on the screen"), || {
            self.said.try_iter().for_each(|bytes| self.all.push_str(&text(&bytes)));
            let at = self.all.find(words)?;
            self.all.drain(..at + words.len());
            Some(())
        });
    }
}

#[test]
fn a_shell_on_a_terminal_knows_its_size_and_ends_with_its_code() {
    let Some(machine) = Machine::start() else { return };
    shells_have_terminals(&machine);
}

pub fn shells_have_terminals(machine: &Machine) {
    let arn = waiting(machine);
    let mut terminal = Terminal::open(&exec(machine, &[&arn]), 31, 97);
    terminal.shows("# ");
    terminal.type_in("busybox stty size; tty_is=$(test -t 0 && echo yes); echo is $tty_is $TERM\n");
    terminal.shows("31 97\r\n");
    terminal.shows("is yes xterm-256color\r\n");
    rustix::termios::tcsetwinsize(
        &terminal.master,
        rustix::termios::Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 },
    )
    .unwrap();
    // The new size travels on its own; the shell is asked until it has arrived.
    terminal.type_in(
        "until [ \"$(busybox stty size)\" = '40 120' ]; do sleep 0.1; done; echo re''sized\n",
    );
    terminal.shows("resized\r\n");
    // Ctrl-C is the command's, not ours.
    // Whoever says it has the terminal by then; between two commands it would be the shell's own.
    terminal.type_in("sh -c 'echo a\"\"sleep; exec sleep 1000'\n");
    terminal.shows("asleep\r\n");
    terminal.type_in("\u{3}");
    // The container's terminal forgets what was typed before it.
    terminal.shows("^C");
    terminal.type_in("echo code $?\n");
    terminal.shows("code 130\r\n");
    terminal.type_in("exit 5\n");
    let status = terminal.child.wait().unwrap();
    assert_eq!(status.code(), Some(5));
}

#[test]
fn a_session_ends_with_its_container_its_client_and_its_server() {
    let Some(mut machine) = Machine::start() else { return };
    let arn = waiting(&machine);
    let sleeps = |machine: &Machine| {
        let done = exec(
            machine,
            &[
                &arn,
                "--",
                "sh",
                "-c",
                "ls /proc/*/cmdline | while read f; do \
            busybox tr '\\0' ' ' <$f 2>/dev/null; echo; done",
            ],
        )
        .output()
        .unwrap();
        text(&done.stdout).lines().any(|line| line.trim() == "sleep 4321")
    };
    let begin = |machine: &Machine| {
        let child = exec(machine, &[&arn, "--", "sleep", "4321"]).stdin(Stdio::piped()).spawn();
        let child = child.unwrap();
        wait_for("it sleeps", || sleeps(machine).then_some(()));
        child
    };

    let mut first = begin(&machine);
    kill(first.id() as i32, Signal::KILL);
    first.wait().unwrap();
    wait_for("the command is gone with its client", || (!sleeps(&machine)).then_some(()));

    let mut second = begin(&machine);
    machine.kill_server();
    assert_eq!(second.wait().unwrap().code(), Some(1));
    machine.up();
    wait_for("the command is gone with its server", || (!sleeps(&machine)).then_some(()));

    let third = begin(&machine);
    machine.call("StopTask", json!({ "task": arn }));
    let done = third.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(137), "{done:?}");
}

#[test]
fn a_services_tasks_have_it_where_the_service_says_so() {
    let Some(machine) = Machine::start() else { return };
    machine.define("served", json!({ "command": ["sleep", "1000"] }), json!({}));
    let input = json!({ "serviceName": "s", "taskDefinition": "served", "desiredCount": 1,
        "enableExecuteCommand": true });
    machine.call("CreateService", input);
    let arn = wait_for("the service has a task", || {
        let listed = machine.call("ListTasks", json!({ "serviceName": "s" }));
        Some(listed["taskArns"][0].as_str()?.to_owned())
    });
    let task = machine.wait(&arn, "RUNNING");
    assert_eq!(task["enableExecuteCommand"], true);
    let done = exec(&machine, &[&arn, "--", "echo", "served"]).output().unwrap();
    assert_eq!(text(&done.stdout), "served\n", "{done:?}");
}
