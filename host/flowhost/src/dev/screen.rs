//! The screen of `flowhost dev`: steps, plugins, what happened, and the keys.
//!
//! The terminal is given back as it was whatever happens, also when the host panics.

use std::io;

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt as _;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::mpsc;

use super::view::{Build, Step, Tone, View};
use super::{Face, Key, Told};

/// A person types no faster than this many keys ahead.
const KEYS_AHEAD: usize = 16;

/// The screen. Dropped, it gives the terminal back.
pub struct Screen {
    terminal: DefaultTerminal,
    view: View,
    color: bool,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it cannot be put into the mode that a screen needs.
    pub fn open(color: bool) -> io::Result<Self> {
        Ok(Self {
            terminal: ratatui::try_init()?,
            view: View::default(),
            color,
        })
    }

    fn draw(&mut self) {
        let (view, color) = (&self.view, self.color);
        // A terminal that is gone hears nothing; the hang-up ends the process.
        let _gone = self.terminal.draw(|frame| draw(frame, view, color));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The library does so in its own panic hook as well, before the message is printed.
        ratatui::restore();
    }
}

impl Face for Screen {
    fn tell(&mut self, told: &Told) {
        self.view.tell(told);
    }

    fn refresh(&mut self) {
        self.draw();
    }

    fn pressed(&mut self, key: Key) {
        match key {
            Key::Yes | Key::No => self.view.answered(),
            Key::Up | Key::Down => self.view.choose(key == Key::Down),
            _ => {}
        }
    }

    fn chosen(&self) -> Option<String> {
        self.view.chosen().map(str::to_owned)
    }
}

/// Reads the keyboard until nobody listens.
#[must_use]
pub fn keys() -> mpsc::Receiver<Key> {
    let (keys, receiver) = mpsc::channel(KEYS_AHEAD);
    tokio::spawn(async move {
        let mut events = EventStream::new();
        while let Some(Ok(event)) = events.next().await {
            let key = match event {
                Event::Key(pressed) => key(pressed),
                // Not drawn here: the screen is another's, who may be drawing it.
                Event::Resize(..) => Some(Key::Refresh),
                _ => None,
            };
            if let Some(key) = key
                && keys.send(key).await.is_err()
            {
                return;
            }
        }
    });
    receiver
}

fn key(pressed: KeyEvent) -> Option<Key> {
    // Some terminals tell of both, and a key would count twice.
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    match pressed.code {
        // A raw terminal sends no interrupt for it.
        KeyCode::Char('c') if control => Some(Key::Quit),
        // Or the letter of a shortcut would be obeyed.
        _ if control => None,
        KeyCode::Char('r') => Some(Key::Again),
        KeyCode::Char('s') => Some(Key::Only),
        KeyCode::Up | KeyCode::Char('k') => Some(Key::Up),
        KeyCode::Down | KeyCode::Char('j') => Some(Key::Down),
        KeyCode::Char('b') => Some(Key::Back),
        KeyCode::Char('o') => Some(Key::Open),
        KeyCode::Char('y') => Some(Key::Yes),
        KeyCode::Char('n') => Some(Key::No),
        KeyCode::Char('q') => Some(Key::Quit),
        _ => None,
    }
}

/// Rows of the tables that a low terminal still shows. A folder of more steps is scrolled.
const TABLE_MAX: u16 = 16;

fn draw(frame: &mut Frame<'_>, view: &View, color: bool) {
    let longest = view.steps.len().max(view.plugins.len());
    // As many as are needed and no more: what is left over shows what happened.
    let rows = u16::try_from(longest)
        .unwrap_or(TABLE_MAX)
        .clamp(1, TABLE_MAX)
        + 2;
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows),
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [head, tables, lines, foot] = areas.areas(frame.area());
    let [steps, plugins] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(tables);
    let paint = Paint(color);
    frame.render_widget(Paragraph::new(title(view, paint)), head);
    frame.render_widget(steps_table(view, paint, rows), steps);
    frame.render_widget(plugins_table(view), plugins);
    let shown = usize::from(lines.height.saturating_sub(2));
    // The newest, which are what a change has just done.
    let last = view.lines.len().saturating_sub(shown);
    let text: Vec<Line<'_>> = view
        .lines
        .iter()
        .skip(last)
        .map(|(tone, line)| Line::styled(line.as_str(), paint.tone(*tone)))
        .collect();
    let block = Block::new().borders(Borders::ALL).title(build(view));
    frame.render_widget(Paragraph::new(text).block(block), lines);
    let keys = match view.asks {
        true => " y take the wider rights   n keep the rights that it has   q quit",
        false => {
            " r run again   s the step at › alone (↑ ↓)   b previous build   o open the report   q quit"
        }
    };
    let style = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Paragraph::new(keys).style(style), foot);
}

/// Colours, where they are wanted.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn of(self, color: Color) -> Style {
        match self.0 {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Good => self.of(Color::Green),
            Tone::Bad => self.of(Color::Red),
            Tone::Asks => self.of(Color::Yellow),
        }
    }

    fn status(self, status: &str) -> Style {
        match status {
            "ok" => self.of(Color::Green),
            "running" => self.of(Color::Cyan),
            "" | "skipped" | "cancelled" => Style::new().add_modifier(Modifier::DIM),
            _ => self.of(Color::Red),
        }
    }
}

fn title(view: &View, paint: Paint) -> Line<'_> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut spans = vec![Span::styled(format!(" {} ", view.plan), bold)];
    if !view.run.is_empty() {
        let style = paint.status(&view.status);
        spans.push(Span::styled(format!(" {} ", view.status), style));
        spans.push(Span::raw(format!(" run {} (no. {}) ", view.run, view.runs)));
    }
    if view.micro_usd > 0 {
        let (dollars, rest) = (view.micro_usd / 1_000_000, view.micro_usd % 1_000_000);
        spans.push(Span::raw(format!(" ${dollars}.{rest:06} ")));
    }
    Line::from(spans)
}

/// The steps; of more than there is room for, those around the first that has not ended.
fn steps_table(view: &View, paint: Paint, rows: u16) -> Table<'_> {
    let room = usize::from(rows.saturating_sub(2));
    let at_work = view
        .steps
        .iter()
        .position(|step| matches!(step.status, "" | "running"));
    let at_work = at_work.unwrap_or(view.steps.len());
    let most = view.steps.len().saturating_sub(room);
    // In the middle, so that what has just ended and what comes next are both seen.
    let first = at_work.saturating_sub(room / 2).min(most);
    let shown = view.steps.iter().skip(first).take(room);
    let chosen = view.chosen();
    let rows = shown.map(|step| {
        let mark = match chosen == Some(step.path.as_str()) {
            true => "›",
            false => "",
        };
        Row::new([
            Span::raw(mark),
            Span::raw(step.path.as_str()),
            Span::styled(step.status, paint.status(step.status)),
            Span::raw(detail(step)),
        ])
    });
    let widths = [
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(20),
    ];
    let title = match first {
        0 => " steps ".to_owned(),
        hidden => format!(" steps (after {hidden} more) "),
    };
    Table::new(rows, widths).block(Block::new().borders(Borders::ALL).title(title))
}

fn detail(step: &Step) -> String {
    let mut text = match step.duration_ms {
        0 => String::new(),
        time => format!("{time} ms"),
    };
    if step.attempt > 1 {
        text.push_str(&format!(" try {}", step.attempt));
    }
    match step.items {
        (0, _) => {}
        (ended, 0) => text.push_str(&format!(" {ended} items")),
        (ended, failed) => text.push_str(&format!(" {ended} items, {failed} failed")),
    }
    text.trim_start().to_owned()
}

fn plugins_table(view: &View) -> Table<'_> {
    let rows = view.plugins.iter().map(|plugin| {
        let swap = plugin.swap_ms.map(|took| format!("live after {took} ms"));
        Row::new([
            Span::raw(plugin.key.as_str()),
            Span::raw(format!("rev {}", plugin.revision)),
            Span::raw(plugin.component.as_str()),
            Span::raw(swap.unwrap_or_default()),
        ])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(7),
        Constraint::Length(12),
        Constraint::Length(20),
    ];
    Table::new(rows, widths).block(Block::new().borders(Borders::ALL).title(" plugins "))
}

fn build(view: &View) -> String {
    match &view.build {
        None => " what happens ".to_owned(),
        Some(Build::Working(folder)) => format!(" building {folder} … "),
        Some(Build::Done(folder, took)) => format!(" built {folder} in {took} ms "),
        Some(Build::Failed(folder)) => format!(" {folder} was not built "),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::dev::Why;

    fn shown(view: &View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(100, 14)).unwrap();
        terminal.draw(|frame| draw(frame, view, false)).unwrap();
        terminal.backend().to_string()
    }

    fn view() -> View {
        let mut view = View::default();
        view.tell(&Told::Watching {
            plan: "plan.yaml".to_owned(),
            plugins: BTreeMap::from([("greet".to_owned(), format!("sha256:{}", "ab".repeat(32)))]),
            sources: vec!["greeter".to_owned()],
        });
        view.tell(&Told::RunStarted {
            run: "01JD0000000000000000000000".to_owned(),
            steps: vec!["hello".to_owned(), "each".to_owned(), "last".to_owned()],
            why: Why::Start,
        });
        view
    }

    #[test]
    fn shows_steps_plugins_and_keys() {
        let mut view = view();
        for (path, status) in [("hello", "ok"), ("each[0]", "ok"), ("each[1]", "failed")] {
            let path = path.to_owned();
            view.tell(&Told::StepStarted {
                path: path.clone(),
                attempt: 1,
            });
            view.tell(&Told::StepEnded {
                path,
                status,
                duration_ms: 12,
                failure: match status {
                    "failed" => "it is too hot".to_owned(),
                    _ => String::new(),
                },
                micro_usd: 1_500,
            });
        }
        view.tell(&Told::Swapped {
            plugin: "greet".to_owned(),
            revision: 2,
            component: format!("sha256:{}", "cd".repeat(32)),
            took_ms: 31,
        });
        insta::assert_snapshot!(shown(&view));
    }

    /// The line of the step that `s` would run.
    fn chosen(view: &View) -> String {
        let shown = shown(view);
        let line = shown.lines().find(|line| line.starts_with("\"│›"));
        let line = line.unwrap_or_else(|| panic!("no step is chosen: {shown}"));
        line.split_whitespace().nth(1).unwrap().to_owned()
    }

    #[test]
    fn the_chosen_step_is_the_first_that_failed_until_the_person_moves() {
        let mut view = view();
        assert_eq!(chosen(&view), "last");
        view.tell(&Told::StepEnded {
            path: "each".to_owned(),
            status: "failed",
            duration_ms: 1,
            failure: "it is too hot".to_owned(),
            micro_usd: 0,
        });
        assert_eq!(chosen(&view), "each");
        for wanted in ["hello", "hello"] {
            view.choose(false);
            assert_eq!(chosen(&view), wanted);
        }
        for wanted in ["each", "last", "last"] {
            view.choose(true);
            assert_eq!(chosen(&view), wanted);
        }
    }

    #[test]
    fn wider_rights_change_the_keys_until_they_are_answered() {
        let mut view = view();
        view.tell(&Told::Wider {
            plugin: "greet".to_owned(),
            rights: vec!["http https://example.com/".to_owned()],
        });
        assert!(shown(&view).contains("y take the wider rights"));
        assert!(shown(&view).contains("+ http https://example.com/"));
        view.answered();
        assert!(!shown(&view).contains("y take"));
    }

    #[test]
    fn a_hostile_message_cannot_move_the_cursor() {
        let mut view = view();
        view.tell(&Told::Said {
            message: "a\x1b[2Jb\u{202e}c".to_owned(),
        });
        assert!(!shown(&view).contains(['\x1b', '\u{202e}']));
    }
}
