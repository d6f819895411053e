//! The picture of `hebbian top`: a function of what it knows, the size of the terminal, and whether there are colours.

pub(crate) mod terminal;

use hebbian_proto::figures::{RunState, duration};
use hebbian_proto::v1;
use hebbian_view::history::History;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState, Wrap};

use super::{Paint, escape, run, text, validation, worker};
use crate::top::{Panel, Top};

/// Lines of the selected run, with its frame.
const DETAIL_LINES: u16 = 10;
/// Lines of its fitness.
const FITNESS_LINES: u16 = 3;
/// Levels that a line of a sparkline tells apart.
const LEVELS: f64 = 8.0;

const HELP: &str = "\
Up, Down, j, k   select a run or worker
PgUp, PgDn       ten at a time
Home, End        the first, the last
Tab              runs or workers
p, r             pause, resume the run
c                cancel it (asks first)
d                drain the worker (asks first)
?                this help
q, Esc, Ctrl-C   quit; runs go on

Any key closes this.";

/// How things of a kind look.
#[derive(Clone, Copy)]
struct Ink {
    colours: bool,
}

impl Ink {
    fn coloured(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn bold() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    fn warning(self) -> Style {
        self.coloured(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    fn bad(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn state(self, state: Option<&RunState>) -> Style {
        match state {
            Some(RunState::Running(_)) => self.good(),
            Some(RunState::Paused(_)) => self.warning(),
            Some(RunState::Failed(_)) => self.bad(),
            Some(RunState::Finished(_) | RunState::Cancelled(_)) | None => Style::new(),
        }
    }
}

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame<'_>, top: &Top, colours: bool) {
    let ink = Ink { colours };
    let [title, runs, detail, workers, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(DETAIL_LINES),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_title(frame, title, top, ink);
    draw_runs(frame, runs, top, ink);
    draw_detail(frame, detail, top, ink);
    draw_workers(frame, workers, top, ink);
    draw_footer(frame, footer, top, ink);
    if let Some((_, question)) = &top.question {
        let text = format!("{}\n\ny: yes    any other key: no", escape::line(question));
        popup(frame, " sure? ", &text, ink.warning());
    } else if top.help {
        popup(frame, " keys ", HELP, Style::new());
    }
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, top: &Top, ink: Ink) {
    let mut parts = vec![Span::styled("hebbian top  ", Ink::bold())];
    if let Some(why) = &top.lost {
        parts.push(Span::styled(escape::line(why).into_owned(), ink.bad()));
    } else if let Some(seen) = &top.seen {
        parts.push(Span::raw(format!(
            "{}, {}, {}",
            text::plural(u64::from(seen.status.active_runs), "active run"),
            text::plural(u64::from(seen.status.workers), "worker"),
            text::plural(u64::from(seen.status.threads), "thread"),
        )));
        if let Some(rate) = top.rate {
            parts.push(Span::raw(format!(", {} episodes/s", text::count(rate))));
        }
        match &seen.status.journal_trouble {
            Some(trouble) => {
                parts.push(Span::styled(format!("  journal: {}", escape::line(trouble)), ink.bad()));
            }
            None => parts.push(Span::raw(format!("  {}", top.url))),
        }
    } else {
        parts.push(Span::raw(format!("asks {}", top.url)));
    }
    frame.render_widget(Line::from(parts), area);
}

/// A frame whose title stands out if the keys move in it.
fn framed(title: &'static str, is_active: bool) -> Block<'static> {
    let style = if is_active { Ink::bold() } else { Style::new() };
    Block::new().borders(Borders::TOP).title(Span::styled(title, style))
}

fn list<'a>(
    rows: Vec<Row<'a>>,
    widths: &[Constraint],
    header: &[&'a str],
    block: Block<'a>,
    is_active: bool,
) -> Table<'a> {
    let style = if is_active { Style::new().add_modifier(Modifier::REVERSED) } else { Ink::bold() };
    Table::new(rows, widths.iter().copied())
        .header(Row::new(header.iter().map(|title| title.to_uppercase())).style(Ink::bold()))
        .column_spacing(1)
        .highlight_symbol("> ")
        .row_highlight_style(style)
        .block(block)
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).alignment(Alignment::Right))
}

/// What somebody else named.
fn named(text: &str) -> Cell<'static> {
    Cell::from(escape::line(text).into_owned())
}

fn draw_runs(frame: &mut Frame<'_>, area: Rect, top: &Top, ink: Ink) {
    let is_active = top.panel == Panel::Runs;
    let row = |of: &&v1::Run| {
        let last = of.last_generation.as_ref();
        let state = Span::styled(run::state_name(of.state.as_ref()), ink.state(of.state()));
        Row::new([
            named(&of.display_name),
            named(of.id()),
            Cell::from(state),
            right(run::generations(of)),
            right(text::fitness(of.best_fitness)),
            right(text::fitness(last.and_then(|last| last.median_fitness))),
            right(of.eligible_workers.to_string()),
        ])
    };
    let rows: Vec<Row<'_>> = top.runs().iter().map(row).collect();
    let block = framed(" runs ", is_active);
    if rows.is_empty() {
        let text =
            if top.seen.is_some() { "no runs yet; `hebbian create SPEC.toml` creates one" } else { "" };
        return frame.render_widget(Paragraph::new(text).block(block), area);
    }
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(11),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(7),
    ];
    let header = ["spec", "run", "state", "generation", "best", "median", "workers"];
    let mut state = TableState::new().with_selected(top.selected_run());
    frame.render_stateful_widget(list(rows, &widths, &header, block, is_active), area, &mut state);
}

fn draw_workers(frame: &mut Frame<'_>, area: Rect, top: &Top, ink: Ink) {
    let is_active = top.panel == Panel::Workers;
    let row = |of: &v1::Worker| {
        let trouble = worker::state(of);
        let style = match trouble.as_str() {
            "working" => ink.good(),
            "excluded" => ink.bad(),
            _ => ink.warning(),
        };
        let rate = top.rates.get(&of.id).map_or_else(|| "-".to_owned(), |rate| text::count(*rate));
        Row::new([
            named(&of.display_name),
            right(of.id.to_string()),
            right(of.threads.to_string()),
            right(format!("{}/{}", of.leased_episodes, of.credit)),
            right(rate),
            right(of.errors.to_string()),
            Cell::from(Span::styled(trouble, style)),
        ])
    };
    let rows: Vec<Row<'_>> = top.workers().iter().map(row).collect();
    let block = framed(" workers ", is_active);
    if rows.is_empty() {
        let text = if top.seen.is_some() {
            "no workers are attached; `hebbian worker --coordinator URL` starts one"
        } else {
            ""
        };
        return frame.render_widget(Paragraph::new(text).block(block), area);
    }
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(6),
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Length(8),
        Constraint::Length(6),
        Constraint::Length(23),
    ];
    let header = ["name", "worker", "threads", "load", "per s", "errors", "state"];
    let mut state = TableState::new().with_selected(top.selected_worker());
    frame.render_stateful_widget(list(rows, &widths, &header, block, is_active), area, &mut state);
}

fn draw_detail(frame: &mut Frame<'_>, area: Rect, top: &Top, ink: Ink) {
    let Some(of) = top.shown() else { return };
    let title = format!(" {} {} ", of.id(), escape::line(&of.display_name));
    let block = Block::new().borders(Borders::TOP).title(Span::styled(title, Ink::bold()));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [figures, label, fitness, notes] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(1),
        Constraint::Length(FITNESS_LINES),
        Constraint::Fill(1),
    ])
    .areas(inner);
    frame.render_widget(Paragraph::new(figure_lines(of, ink)), figures);
    draw_fitness(frame, label, fitness, top, of, ink);
    frame.render_widget(Paragraph::new(last_words(of, usize::from(notes.height), ink)), notes);
}

fn figure_lines(of: &v1::Run, ink: Ink) -> Vec<Line<'static>> {
    let state = run::state(of.state(), Paint::none());
    let state = Span::styled(escape::line(&state).into_owned(), ink.state(of.state()));
    let progress = if of.is_final() {
        format!("  generation {}", run::generations(of))
    } else {
        format!(
            "  generation {}, {} of {} episodes settled, {} leased",
            run::generations(of),
            of.settled_episodes,
            of.generation_episodes,
            of.leased_episodes
        )
    };
    let last = of.last_generation.as_ref();
    let fitness = format!(
        "last best {}, median {}, deviation {}",
        text::fitness(last.and_then(|last| last.best_fitness)),
        text::fitness(last.and_then(|last| last.median_fitness)),
        last.and_then(|last| last.fitness_deviation).map_or_else(|| "-".to_owned(), text::significant)
    );
    let elapsed = last.map_or_else(String::new, |last| {
        format!(
            "; {} episodes in {}",
            text::count(last.episodes as f64),
            text::duration(duration(last.elapsed))
        )
    });
    let validation = of.validation.as_ref().map_or_else(
        || "validation: none yet".to_owned(),
        |summary| format!("validation {}", escape::line(&validation::line(summary))),
    );
    vec![Line::from(vec![state, Span::raw(progress)]), Line::from(fitness + &elapsed), Line::from(validation)]
}

/// The median of the generations as bars, with what they stand for above.
fn draw_fitness(frame: &mut Frame<'_>, label: Rect, area: Rect, top: &Top, of: &v1::Run, ink: Ink) {
    let points = top.history(&of.name).map_or(&[][..], History::points);
    let known: Vec<(u32, u32, f64)> = points
        .iter()
        .filter_map(|point| Some((point.generations.0, point.generations.1, point.median?)))
        .collect();
    let shown = &known[known.len().saturating_sub(usize::from(area.width))..];
    let (Some(first), Some(last)) = (shown.first(), shown.last()) else {
        let text = if points.is_empty() {
            "no generation has closed yet"
        } else {
            "no median: at least half diverged"
        };
        return frame.render_widget(Line::from(text), label);
    };
    let low = shown.iter().map(|point| point.2).fold(f64::INFINITY, f64::min);
    let high = shown.iter().map(|point| point.2).fold(f64::NEG_INFINITY, f64::max);
    let text = format!(
        "median fitness of generations {} to {}: {} to {}",
        first.0 + 1,
        last.1 + 1,
        text::fitness(Some(low)),
        text::fitness(Some(high))
    );
    frame.render_widget(Line::from(text), label);
    let levels = f64::from(FITNESS_LINES) * LEVELS;
    // The least is a bar, too.
    let bar = |value: f64| {
        // Halves, as the difference of two numbers need not be one.
        let part = if high > low { (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) } else { 1.0 };
        1 + (part * (levels - 1.0)).round() as u64
    };
    let bars: Vec<u64> = shown.iter().map(|point| bar(point.2)).collect();
    let style = ink.coloured(Color::Cyan);
    frame.render_widget(Sparkline::default().data(&bars).max(levels as u64).style(style), area);
}

/// The last warnings and notes of a run, as many as there are lines for.
fn last_words(of: &v1::Run, lines: usize, ink: Ink) -> Vec<Line<'static>> {
    let warnings = of.validation.iter().flat_map(|summary| &summary.warnings);
    let warnings = warnings.map(|warning| format!("{}: {}", warning.failure, warning.figure));
    let all: Vec<(&str, String)> = of
        .notes
        .iter()
        .map(|note| ("note", note.clone()))
        .chain(warnings.map(|warning| ("warning", warning)))
        .collect();
    let last = &all[all.len().saturating_sub(lines)..];
    last.iter()
        .map(|(label, text)| {
            let text = format!(" {}", escape::line(text));
            Line::from(vec![Span::styled((*label).to_owned(), ink.warning()), Span::raw(text)])
        })
        .collect()
}

fn draw_footer(frame: &mut Frame<'_>, area: Rect, top: &Top, ink: Ink) {
    let line = match &top.said {
        Some(Ok(text)) => Line::from(Span::styled(escape::line(text).into_owned(), ink.good())),
        Some(Err(text)) => Line::from(Span::styled(escape::line(text).into_owned(), ink.warning())),
        None => Line::from("q quit  ? help  Tab runs/workers  p pause  r resume  c cancel  d drain"),
    };
    frame.render_widget(line, area);
}

/// A box over the middle.
fn popup(frame: &mut Frame<'_>, title: &str, text: &str, style: Style) {
    let all = frame.area();
    let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0) as u16;
    let width = (longest + 4).min(all.width);
    let inside = usize::from(width.saturating_sub(4).max(1));
    let needed: usize = text.lines().map(|line| line.chars().count().div_ceil(inside).max(1)).sum();
    let height = (needed as u16 + 2).min(all.height);
    let area =
        Rect { x: all.x + (all.width - width) / 2, y: all.y + (all.height - height) / 2, width, height };
    let block = Block::bordered()
        .title(Span::styled(title.to_owned(), style))
        .padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(text.to_owned()).wrap(Wrap { trim: false }).block(block), area);
}

#[cfg(test)]
mod tests;
