//! A timeline for people: as text for a terminal, and as a drawing.

use std::fmt::Write as _;

use crate::plan::{Counts, Course, Look, Timeline};

/// Rows of a service's text; between them nothing or little changes.
const MOST_ROWS: usize = 30;
const WIDEST: u32 = 60;

/// What became of each service: a row where its counts changed, events between the rows.
pub fn text(timeline: &Timeline) -> String {
    let mut out = format!("{} s on {} hosts\n", timeline.seconds, timeline.hosts);
    out.push_str("█ running  ░ starting  ▒ stopping  ╎ minimum  ┆ maximum\n");
    for course in &timeline.services {
        course_text(&mut out, timeline, course);
    }
    out
}

fn course_text(out: &mut String, timeline: &Timeline, course: &Course) {
    let _ = writeln!(out, "\n{}", title(course));
    let highest = course.looks.iter().map(|look| look.all().max(look.most)).max().unwrap_or(0);
    let scale = f64::from(WIDEST.min(highest.max(1))) / f64::from(highest.max(1));
    let changed: Vec<usize> = (0..course.looks.len())
        .filter(|n| *n == 0 || course.looks[*n] != course.looks[n - 1])
        .collect();
    let every = changed.len().div_ceil(MOST_ROWS).max(1);
    let mut rows: Vec<usize> = changed.iter().copied().step_by(every).collect();
    // A step of the plan, and what holds in the end, are always shown.
    rows.extend(timeline.steps.iter().map(|(at, _)| *at as usize));
    rows.extend(changed.last());
    rows.retain(|row| *row < course.looks.len());
    rows.sort_unstable();
    rows.dedup();
    let mut steps = timeline.steps.iter().peekable();
    let mut events = course.events.as_slice();
    for row in rows {
        let before = events.partition_point(|(at, _)| (*at as usize) < row);
        let (earlier, later) = events.split_at(before);
        events = later;
        for (at, text) in told(earlier) {
            let _ = writeln!(out, "{at:>6} s    · {text}");
        }
        while let Some((at, text)) = steps.next_if(|(at, _)| (*at as usize) <= row) {
            let _ = writeln!(out, "{at:>6} s  ▶ {text}");
        }
        let look = &course.looks[row];
        let _ = writeln!(out, "{row:>6} s  {}  {}", bar(look, scale), said(look));
    }
    for (at, text) in told(events) {
        let _ = writeln!(out, "{at:>6} s    · {text}");
    }
    let _ = writeln!(out, "  {}", summary(course));
}

/// A bar of the running, the starting and the stopping, with marks for the bounds.
fn bar(look: &Look, scale: f64) -> String {
    let cells = |n: u32| (f64::from(n) * scale).round() as usize;
    let all: Counts = look.versions.values().fold(Counts::default(), |sum, one| Counts {
        starting: sum.starting + one.starting,
        running: sum.running + one.running,
        stopping: sum.stopping + one.stopping,
    });
    let mut cell: Vec<char> = Vec::new();
    for (n, sign) in [(all.running, '█'), (all.starting, '░'), (all.stopping, '▒')] {
        cell.extend(std::iter::repeat_n(sign, cells(n)));
    }
    let (least, most) = (cells(look.least), cells(look.most));
    cell.resize(cell.len().max(most + 1), ' ');
    for (at, sign) in [(least, '╎'), (most, '┆')] {
        if cell.get(at) == Some(&' ') {
            cell[at] = sign;
        }
    }
    cell.into_iter().collect()
}

fn said(look: &Look) -> String {
    let versions = look.versions.iter().map(|(version, counts)| {
        let Counts { starting, running, stopping } = counts;
        let parts = [(running, "running"), (starting, "starting"), (stopping, "stopping")];
        let parts = parts.into_iter().filter(|(n, _)| **n > 0);
        let parts: Vec<String> = parts.map(|(n, what)| format!("{n} {what}")).collect();
        match version {
            0 => parts.join(", "),
            _ => format!("v{version}: {}", parts.join(", ")),
        }
    });
    let versions: Vec<String> = versions.collect();
    match versions.is_empty() {
        true => "none".to_owned(),
        false => versions.join("; "),
    }
}

/// Events without their tasks' ids; starts and stops that follow each other are one line.
fn told(events: &[(u64, String)]) -> Vec<(u64, String)> {
    let number = |text: &str, before: &str, behind: &str| -> Option<u32> {
        let (number, rest) = text.strip_prefix(before)?.split_once(' ')?;
        rest.starts_with(behind).then(|| number.parse().ok()).flatten()
    };
    let mut lines: Vec<(u64, String)> = Vec::new();
    let (mut since, mut started, mut stopped) = (0, 0, 0);
    let close = |lines: &mut Vec<(u64, String)>, since: u64, counts: &mut (u32, u32)| {
        let said = match *counts {
            (0, 0) => return,
            (started, 0) => format!("{started} tasks started"),
            (0, stopped) => format!("{stopped} tasks stopped"),
            (started, stopped) => format!("{started} tasks started, {stopped} stopped"),
        };
        lines.push((since, said));
        *counts = (0, 0);
    };
    for (at, text) in events {
        let start = number(text, "has started ", "tasks");
        let stop = number(text, "has stopped ", "running tasks");
        let mut counts = (started, stopped);
        if start.is_none() && stop.is_none() {
            close(&mut lines, since, &mut counts);
            lines.push((*at, text.chars().take(160).collect()));
        } else if counts == (0, 0) {
            since = *at;
        }
        (started, stopped) = (counts.0 + start.unwrap_or(0), counts.1 + stop.unwrap_or(0));
    }
    close(&mut lines, since, &mut (started, stopped));
    lines
}

fn title(course: &Course) -> String {
    match course.instances {
        true => format!("{} (instances)", course.name),
        false => course.name.clone(),
    }
}

fn summary(course: &Course) -> String {
    if course.instances {
        let most = course.looks.iter().map(Look::all).max().unwrap_or(0);
        let last = course.looks.last().map_or(0, Look::running);
        return format!("{most} instances at most, {last} in the end");
    }
    let steady = course.looks.iter().position(|look| look.running() >= look.desired);
    let Some(steady) = steady else { return "never had as many tasks as were wanted".to_owned() };
    let rest = &course.looks[steady..];
    let least = rest.iter().map(Look::running).min().unwrap_or(0);
    let most = rest.iter().map(Look::all).max().unwrap_or(0);
    let under = rest.iter().filter(|look| look.running() < look.least).count();
    let under = match under {
        0 => "never under its minimum".to_owned(),
        n => format!("{n} s under its minimum"),
    };
    format!("all there at {steady} s; then {least} to {most} tasks, {under}")
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 46.0;
/// Versions in turn: colours that stay apart for people who see few.
const COLOURS: [&str; 5] = ["#4477aa", "#228833", "#ccbb44", "#aa3377", "#66ccee"];

/// The same as a drawing: a chart a service, its versions stacked.
pub fn svg(timeline: &Timeline) -> String {
    let charts = timeline.services.len().max(1) as f64;
    let (width, height) = (LEFT + WIDTH + 24.0, charts * (HEIGHT + TOP + 26.0) + 30.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (nth, course) in timeline.services.iter().enumerate() {
        let top = nth as f64 * (HEIGHT + TOP + 26.0) + TOP;
        chart(&mut out, timeline, course, top);
    }
    let y = height - 12.0;
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{y}\" fill=\"#555\">full colour: running; light: starting; grey: \
         stopping; dashed: minimum and maximum; vertical: the plan's steps</text>\n</svg>"
    );
    out
}

fn chart(out: &mut String, timeline: &Timeline, course: &Course, top: f64) {
    let looks = &course.looks;
    let highest = looks.iter().map(|look| look.all().max(look.most)).max().unwrap_or(1).max(1);
    let seconds = looks.len().max(2) as f64 - 1.0;
    let x = |second: usize| LEFT + second as f64 / seconds * WIDTH;
    let y = |tasks: u32| top + HEIGHT - f64::from(tasks) / f64::from(highest) * HEIGHT;
    let bottom = top + HEIGHT;
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{}</text>",
        top - 18.0,
        escaped(&title(course))
    );
    let mut versions: Vec<u32> =
        looks.iter().flat_map(|look| look.versions.keys().copied()).collect();
    versions.sort_unstable();
    versions.dedup();
    let named = versions.iter().filter(|version| **version > 0);
    // From the right, over the chart's end: the plan's steps are written from the left.
    for (nth, version) in named.rev().enumerate() {
        let (x, y, colour) =
            (LEFT + WIDTH - 20.0 - nth as f64 * 44.0, top - 28.0, colour_of(*version));
        let _ = writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{x}\" y=\"{y}\" fill=\"#555\">v{version}</text>",
            x - 14.0,
            y - 9.0
        );
    }
    let mut below = vec![0_u32; looks.len()];
    // What runs lies below, of all versions: so it shows against the minimum.
    let parts: [(Pick, f64); 3] =
        [(|one| one.running, 1.0), (|one| one.starting, 0.35), (|one| one.stopping, 0.5)];
    for (nth, (pick, opacity)) in parts.into_iter().enumerate() {
        for version in &versions {
            let colour = if nth == 2 { "#999999" } else { colour_of(*version) };
            let counts = looks.iter().map(|look| look.versions.get(version).map_or(0, pick));
            let counts: Vec<u32> = counts.collect();
            if counts.iter().any(|n| *n > 0) {
                area(out, &below, &counts, (colour, opacity), (&x, &y));
                below.iter_mut().zip(&counts).for_each(|(sum, n)| *sum += n);
            }
        }
    }
    for bound in [|look: &Look| look.least, |look: &Look| look.most] {
        let line: Vec<u32> = looks.iter().map(bound).collect();
        let path = steps_path(&line, &x, &y);
        let _ = writeln!(
            out,
            "<path d=\"{path}\" fill=\"none\" stroke=\"#333\" stroke-dasharray=\"4 3\"/>"
        );
    }
    let _ = writeln!(
        out,
        "<path d=\"M{LEFT} {top}V{bottom}H{}\" fill=\"none\" stroke=\"#333\"/>",
        LEFT + WIDTH
    );
    for tasks in [0, highest.div_ceil(2), highest] {
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#555\">{tasks}</text>",
            LEFT - 6.0,
            y(tasks) + 4.0
        );
    }
    for part in 0..=6 {
        let second = (seconds * f64::from(part) / 6.0).round() as usize;
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{second} s</text>",
            x(second),
            bottom + 15.0
        );
    }
    for (nth, (at, text)) in timeline.steps.iter().enumerate() {
        let (at, high) = (x(*at as usize), top - 4.0 - if nth % 2 == 0 { 0.0 } else { 12.0 });
        let _ = writeln!(
            out,
            "<path d=\"M{at} {top}V{bottom}\" stroke=\"#000\" stroke-opacity=\"0.4\"/>\
             <text x=\"{}\" y=\"{high}\">{}</text>",
            at + 3.0,
            escaped(text)
        );
    }
}

fn colour_of(version: u32) -> &'static str {
    COLOURS[version.saturating_sub(1) as usize % COLOURS.len()]
}

type Pick = fn(&Counts) -> u32;
type Places<'a> = (&'a dyn Fn(usize) -> f64, &'a dyn Fn(u32) -> f64);

/// What lies between two staircases.
fn area(out: &mut String, below: &[u32], counts: &[u32], fill: (&str, f64), (x, y): Places<'_>) {
    let above: Vec<u32> = below.iter().zip(counts).map(|(below, n)| below + n).collect();
    let mut path = steps_path(&above, x, y);
    let last = below.len() - 1;
    let _ = write!(path, "L{:.1} {:.1}", x(last), y(below[last]));
    for second in (0..last).rev() {
        if below[second] != below[second + 1] {
            let _ = write!(path, "H{:.1}V{:.1}", x(second + 1), y(below[second]));
        }
    }
    let _ = write!(path, "H{:.1}Z", x(0));
    let (colour, opacity) = fill;
    let _ = writeln!(out, "<path d=\"{path}\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>");
}

fn steps_path(line: &[u32], x: &dyn Fn(usize) -> f64, y: &dyn Fn(u32) -> f64) -> String {
    let mut path = String::new();
    for (second, tasks) in line.iter().enumerate() {
        match second {
            0 => drop(write!(path, "M{:.1} {:.1}", x(0), y(*tasks))),
            _ if line[second - 1] != *tasks => {
                let _ = write!(path, "H{:.1}V{:.1}", x(second), y(*tasks));
            }
            _ => {}
        }
    }
    let _ = write!(path, "H{:.1}", x(line.len().saturating_sub(1)));
    path
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
