//! `cargo xtask new`: the one file and the one line that a new action or slice needs.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// `CreateCluster` → `create_cluster`, with runs of capitals kept together as codegen does.
fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let starts_word = c.is_uppercase()
            && i > 0
            && (chars[i - 1].is_lowercase()
                || chars[i - 1].is_ascii_digit()
                || chars.get(i + 1).is_some_and(|next| next.is_lowercase()));
        if starts_word {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

pub fn new_action(root: &Path, service: &str, operation: &str) -> Result<()> {
    let slice = root.join(format!("crates/service-{service}"));
    ensure!(slice.is_dir(), "there is no {}; `cargo xtask new service {service}`", slice.display());
    let model = root.join(format!("models/{service}/src/ops.rs"));
    let known = std::fs::read_to_string(&model).with_context(|| format!("read {model:?}"))?;
    ensure!(
        known.contains(&format!("\n    {operation} ")),
        "models/{service} has no operation {operation}; see models/subset.toml"
    );
    let name = snake(operation);
    let file = slice.join(format!("src/actions/{name}.rs"));
    ensure!(!file.exists(), "{} exists already", file.display());
    let list = slice.join("src/actions/mod.rs");
    let text = std::fs::read_to_string(&list).with_context(|| format!("read {list:?}"))?;
    let text = with_action(&text, &name, operation)?;
    std::fs::write(&file, action_text(service, operation))
        .with_context(|| format!("write {}", file.display()))?;
    std::fs::write(&list, text).with_context(|| format!("write {}", list.display()))?;
    println!("wrote {} and its line in {}", file.display(), list.display());
    Ok(())
}

fn reads(operation: &str) -> bool {
    ["Get", "List", "Describe"].iter().any(|verb| operation.starts_with(verb))
}

/// The new file: it does not compile until `run` is written, so nothing half-done is committed.
fn action_text(service: &str, operation: &str) -> String {
    let (kind, with, tx) = match reads(operation) {
        true => ("ReadAction", "view: &View<'_>", ""),
        false => ("WriteAction", "tx: &mut Tx<'_>", "use core_state::Tx;\n"),
    };
    let model = service.replace('-', "_");
    format!(
        r#"//! {operation}.

use aws_protocol::ApiError;
{tx}use core_step::{{Call, Demand, Demands, Input, Output, {kind}, View}};
use model_{model} as api;

pub struct {operation};

impl {kind} for {operation} {{
    type Op = api::ops::{operation};

    fn authorize(_: &Call, _: &View<'_>, _: &Input<Self::Op>) -> Demands {{
        Demand::anywhere("{service}:{operation}").into()
    }}

    fn run(
        call: &Call,
        {with},
        input: Input<Self::Op>,
    ) -> Result<Output<Self::Op>, ApiError> {{
        compile_error!("write {operation}")
    }}
}}
"#
    )
}

/// The list with the action's `mod` and entry, each before the first that sorts after it.
fn with_action(list: &str, name: &str, operation: &str) -> Result<String> {
    let make = if reads(operation) { "read_action" } else { "write_action" };
    let module = |line: &str| Some(line.strip_prefix("mod ")?.trim_end_matches(';').to_owned());
    let entry = |line: &str| {
        let (_, path) = line.trim_start().split_once("_action::<")?;
        Some(path.split(">()").next()?.rsplit("::").next()?.to_owned())
    };
    let list = inserted(list, &format!("mod {name};"), name, module)?;
    inserted(&list, &format!("    {make}::<{name}::{operation}>(),"), operation, entry)
}

fn inserted(
    text: &str,
    line: &str,
    key: &str,
    key_of: impl Fn(&str) -> Option<String>,
) -> Result<String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let after = lines.iter().position(|l| key_of(l).is_some_and(|other| *other > *key));
    let behind_last = || lines.iter().rposition(|l| key_of(l).is_some()).map(|last| last + 1);
    let empty_list = || lines.iter().position(|l| l.ends_with("= &[];"));
    let Some(place) = after.or_else(behind_last) else {
        // The first of its kind: a module goes behind the page's head, an entry into the list.
        if line.starts_with("mod ") {
            let head = lines.iter().position(|l| !l.starts_with("//!")).unwrap_or(0);
            lines.splice(head..head, ["", line]);
            return Ok(lines.join("\n") + "\n");
        }
        let Some(at) = empty_list() else { bail!("the list of actions has no `= &[];`") };
        let opened = lines[at].replace("= &[];", "= &[");
        lines.splice(at..=at, [opened.as_str(), line, "];"]);
        return Ok(lines.join("\n") + "\n");
    };
    lines.insert(place, line);
    Ok(lines.join("\n") + "\n")
}

pub fn new_service(root: &Path, service: &str) -> Result<()> {
    let slice = root.join(format!("crates/service-{service}"));
    ensure!(!slice.exists(), "{} exists already", slice.display());
    ensure!(
        root.join(format!("models/{service}")).is_dir(),
        "models/{service} is missing: name the service in models/subset.toml and run codegen"
    );
    let inherited: String = ["version", "edition", "rust-version", "license", "publish"]
        .map(|key| format!("{key}.workspace = true\n"))
        .concat();
    let manifest = format!(
        "[package]\nname = \"service-{service}\"\n{inherited}\n[lints]\nworkspace = true\n\n\
         [dependencies]\naws-protocol.workspace = true\ncore-state.workspace = true\n\
         core-step.workspace = true\ncore-types.workspace = true\nmodel-{service}.workspace = true\n\
         serde.workspace = true\n"
    );
    let hub = format!(
        "//! The {service} slice: lists only.\n\nmod actions;\n\nuse core_state::SchemaBuilder;\nuse \
         core_step::Slice;\n\npub static SLICE: Slice = Slice {{\n    service: \
         &model_{service}::SERVICE,\n    actions: actions::ACTIONS,\n    loops: &[],\n    tables: \
         |_: &mut SchemaBuilder| {{}},\n    invariants: &[],\n}};\n"
    );
    let actions = "//! The list of actions.\n\nuse core_step::Action;\n\npub const ACTIONS: &[Action] \
                   = &[];\n";
    std::fs::create_dir_all(slice.join("src/actions"))?;
    for (file, text) in
        [("Cargo.toml", manifest.as_str()), ("src/lib.rs", &hub), ("src/actions/mod.rs", actions)]
    {
        std::fs::write(slice.join(file), text)?;
    }
    println!(
        "wrote {}; next: a line each in Cargo.toml, in crates/wharf/src/slices.rs and in the \
              slices' order of xtask tidy",
        slice.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_become_file_names() {
        assert_eq!(snake("RunTask"), "run_task");
        assert_eq!(snake("GetSSHPublicKey"), "get_ssh_public_key");
        assert_eq!(snake("EnableMFADevice"), "enable_mfa_device");
    }

    #[test]
    fn lines_go_where_the_alphabet_wants_them() {
        let list = "//! Actions.\n\nmod a_b;\nmod list_c;\n\npub const ACTIONS: &[Action] = &[\n    \
                    write_action::<a_b::AB>(),\n    read_action::<list_c::ListC>(),\n];\n";
        let list = with_action(list, "go_on", "GoOn").unwrap();
        let list = with_action(&list, "stop_it", "StopIt").unwrap();
        let lines: Vec<&str> = list.lines().collect();
        assert_eq!(lines[2..6], ["mod a_b;", "mod go_on;", "mod list_c;", "mod stop_it;"]);
        assert_eq!(lines[9], "    write_action::<go_on::GoOn>(),");
        assert_eq!(lines[11], "    write_action::<stop_it::StopIt>(),");
    }

    #[test]
    fn the_first_action_opens_the_list() {
        let list =
            "//! The list.\n\nuse core_step::Action;\n\npub const ACTIONS: &[Action] = &[];\n";
        let list = with_action(list, "list_c", "ListC").unwrap();
        assert!(list.starts_with("//! The list.\n\nmod list_c;\n\nuse"), "{list}");
        assert!(list.ends_with("= &[\n    read_action::<list_c::ListC>(),\n];\n"), "{list}");
    }

    #[test]
    fn a_new_action_names_its_operation_and_refuses_to_compile_unfinished() {
        let text = action_text("ecs", "RunTask");
        assert!(text.contains("impl WriteAction for RunTask") && text.contains("compile_error!"));
        assert!(action_text("ecs", "ListTasks").contains("impl ReadAction for ListTasks"));
    }
}
