//! What a person sees of it: steps as they are taken, then a table that stays true. Without a
//! terminal, lines, and only where something has changed.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// One task.
pub struct Row {
    pub task: String,
    pub status: String,
    pub host: String,
    pub url: Option<String>,
    /// The page that it has just given.
    pub page: Option<String>,
    /// How many it has given.
    pub pages: u64,
}

const TICK: Duration = Duration::from_millis(100);

pub struct Board {
    live: bool,
    screen: MultiProgress,
    step: ProgressBar,
    lines: Mutex<Vec<ProgressBar>>,
    last: Mutex<String>,
}

impl Board {
    pub fn new() -> Board {
        let screen = MultiProgress::new();
        let step = screen.add(ProgressBar::new_spinner());
        let live = std::io::stderr().is_terminal();
        if live {
            step.enable_steady_tick(TICK);
        }
        let (lines, last) = (Mutex::new(Vec::new()), Mutex::new(String::new()));
        Board { live, screen, step, lines, last }
    }

    pub fn step(&self, what: &str) {
        self.step.set_message(what.to_owned());
        self.once(what);
    }

    /// All tasks answer.
    pub fn up(&self, took: Duration, rows: &[Row], what_next: &[String]) {
        self.step.finish_and_clear();
        let mut text = format!("\nup after {:.1} s. Open:\n", took.as_secs_f64());
        for row in rows {
            let page = row.page.as_deref().unwrap_or_default();
            text.push_str(&format!("  {}  {page}\n", row.url.as_deref().unwrap_or_default()));
        }
        text.push_str("\nIn another shell:\n");
        what_next.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        text.push_str("\nCtrl-C removes all of it.\n");
        let _ = self.screen.suspend(|| {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{text}").and_then(|()| out.flush())
        });
        self.table(rows);
    }

    pub fn table(&self, rows: &[Row]) {
        let mut text = vec![format!(
            "{:<34}{:<10}{:<14}{:<28}{}",
            "TASK", "HOST", "STATUS", "ADDRESS", "PAGES"
        )];
        for row in rows {
            let url = row.url.as_deref().unwrap_or("-");
            let Row { task, host, status, pages, .. } = row;
            text.push(format!("{task:<34}{host:<10}{status:<14}{url:<28}{pages}"));
        }
        if !self.live {
            // A page more is no news.
            let state = |row: &Row| format!("{} {} {}", row.task, row.host, row.status);
            let states: Vec<String> = rows.iter().map(state).collect();
            return self.once(&states.join("; "));
        }
        let mut lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while lines.len() > text.len() {
            if let Some(line) = lines.pop() {
                line.finish_and_clear();
                self.screen.remove(&line);
            }
        }
        while lines.len() < text.len() {
            let style = ProgressStyle::with_template("{msg}").expect("a template of one word");
            lines.push(self.screen.add(ProgressBar::new_spinner().with_style(style)));
        }
        for (line, text) in lines.iter().zip(text) {
            line.set_message(text);
            line.tick();
        }
    }

    /// Leave the screen as it is for whoever writes next.
    pub fn end(&self) {
        self.step.finish_and_clear();
        let lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.iter().for_each(|line| line.abandon());
    }

    fn once(&self, text: &str) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !self.live && *last != text {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
            *last = text.to_owned();
        }
    }
}
