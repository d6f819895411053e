//! One chart: lines, bands, dots and marks over a horizontal axis, with its numbers as a table.

use crate::number;
use crate::picture::{Picture, Table};
use crate::scale::{Axis, Scale};
use crate::svg::{Anchor, Drawing, line_path};

/// Width and height of a chart.
const SIZE: (f64, f64) = (720.0, 300.0);
/// Left, right, top and bottom margins.
const MARGINS: (f64, f64, f64, f64) = (64.0, 14.0, 46.0, 44.0);
/// How wide letters of a legend are, at most: the wide ones, and others.
const WIDE_LETTER: f64 = 11.0;
const LETTER: f64 = 7.2;
/// How wide and how high the letters of numbers beside an axis are, at most.
const DIGIT: f64 = 6.5;
const LABEL_HEIGHT: f64 = 14.0;
/// Points that all lines of a chart have together, at most.
const POINTS_MAX: usize = 9000;
/// Rows of the table below a chart, at most.
const ROWS_MAX: usize = 25;
/// Rows of a legend, at most, and their height.
const LEGEND_ROWS_MAX: usize = 8;
const LEGEND_ROW: f64 = 14.0;
/// Letters of a name in a legend, at most.
const NAME_LETTERS_MAX: usize = 60;

/// Where the lines of a chart are, and how high all of it is.
#[derive(Clone, Copy)]
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    height: f64,
}

/// One name of a legend.
struct Entry {
    at: (f64, f64),
    name: String,
    /// Class of its mark, without the colour; empty for a name without a mark.
    class: &'static str,
    colour: usize,
    /// How often its mark is drawn.
    times: usize,
}

/// A line, or several that mean the same kind of thing.
pub(crate) struct Line {
    /// What it is called; empty for none in the legend.
    pub(crate) name: String,
    /// Which of the colours, from 0.
    pub(crate) colour: usize,
    /// Points from left to right; what cannot be shown interrupts a line.
    pub(crate) paths: Vec<Vec<(f64, Option<f64>)>>,
    /// Drawn thin: one of many.
    pub(crate) thin: bool,
}

/// An area between two lines.
pub(crate) struct Band {
    pub(crate) name: String,
    pub(crate) colour: usize,
    /// Place, lower and upper end.
    pub(crate) points: Vec<(f64, f64, f64)>,
}

/// Measured values with their errors.
pub(crate) struct Dots {
    pub(crate) name: String,
    pub(crate) colour: usize,
    /// Place, value, standard error.
    pub(crate) points: Vec<(f64, f64, f64)>,
}

/// See the module.
pub(crate) struct Chart {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    /// One sentence for whoever does not see it.
    pub(crate) says: String,
    pub(crate) x: &'static str,
    pub(crate) x_logarithmic: bool,
    pub(crate) y: &'static str,
    pub(crate) y_logarithmic: bool,
    /// Whether its values are counts: there is nothing between two whole numbers.
    pub(crate) y_counted: bool,
    pub(crate) bands: Vec<Band>,
    pub(crate) lines: Vec<Line>,
    pub(crate) dots: Vec<Dots>,
    /// Places of marks, each with what it says.
    pub(crate) marks: Vec<(f64, String)>,
    /// What stands in the place of a chart without any value.
    pub(crate) nothing: &'static str,
    pub(crate) table: Table,
}

impl Chart {
    pub(crate) fn new(id: &'static str, title: &str, x: &'static str, y: &'static str) -> Self {
        Self {
            id,
            title: title.to_owned(),
            says: String::new(),
            x,
            x_logarithmic: false,
            y,
            y_logarithmic: false,
            y_counted: false,
            bands: Vec::new(),
            lines: Vec::new(),
            dots: Vec::new(),
            marks: Vec::new(),
            nothing: "no figures yet",
            table: Table::default(),
        }
    }

    pub(crate) fn draw(self) -> Picture {
        let mut drawing = Drawing::default();
        let legend = self.legend();
        // A legend of several rows makes the picture higher, not its lines smaller.
        let more = legend.last().map_or(0.0, |last| last.at.1 - (MARGINS.2 - 12.0));
        let size = (SIZE.0, SIZE.1 + more);
        let (top, bottom) = (MARGINS.2 + more, size.1 - MARGINS.3);
        let up = match (self.y_logarithmic, self.y_counted) {
            (true, _) => Axis::Logarithmic,
            (false, true) => Axis::Whole,
            (false, false) => Axis::Linear,
        };
        let y = Scale::of(up, self.values(), (bottom, top), 0.04);
        let y_ticks = y.as_ref().map(|y| y.ticks(5, |_| LABEL_HEIGHT)).unwrap_or_default();
        // Between the axis and its name.
        let widest = y_ticks.iter().map(|(_, label)| number_width(label)).fold(0.0, f64::max);
        let left = MARGINS.0.max(widest + 25.0);
        let frame = Frame { left, right: size.0 - MARGINS.1, top, bottom, height: size.1 };
        let right = frame.right;
        drawing.rectangle("bg", None, (0.0, 0.0), size, "");
        drawing.text("h", Anchor::Start, (MARGINS.0, 18.0), &self.title);
        let is_counted = self.places().all(|place| libm::trunc(place) == place);
        let along = match (self.x_logarithmic, is_counted) {
            (true, _) => Axis::Logarithmic,
            (false, true) => Axis::Whole,
            (false, false) => Axis::Linear,
        };
        let x = Scale::of(along, self.places(), (left, right), 0.0);
        if let (Some(x), Some(y)) = (&x, &y) {
            self.axes(&mut drawing, frame, x, &y_ticks);
            self.content(&mut drawing, x, y);
        } else {
            drawing.text(
                "n",
                Anchor::Middle,
                (f64::midpoint(left, right), f64::midpoint(top, bottom)),
                self.nothing,
            );
        }
        draw_legend(&legend, &mut drawing);
        drawing.text("a", Anchor::Middle, (f64::midpoint(left, right), frame.height - 8.0), self.x);
        drawing.upright("a", (13.0, f64::midpoint(top, bottom)), self.y);
        Picture {
            id: self.id.to_owned(),
            title: self.title,
            says: self.says,
            size,
            elements: drawing.into_elements(),
            table: self.table.shortened(ROWS_MAX),
        }
    }

    fn places(&self) -> impl Iterator<Item = f64> + '_ {
        let lines = self.lines.iter().flat_map(|line| &line.paths).flatten();
        let lines = lines.filter(|(_, value)| value.is_some()).map(|(place, _)| *place);
        let bands = self.bands.iter().flat_map(|band| &band.points).map(|point| point.0);
        let dots = self.dots.iter().flat_map(|dots| &dots.points).map(|point| point.0);
        lines.chain(bands).chain(dots)
    }

    fn values(&self) -> impl Iterator<Item = f64> + '_ {
        let lines = self.lines.iter().flat_map(|line| &line.paths).flatten().filter_map(|point| point.1);
        let bands = self.bands.iter().flat_map(|band| &band.points).flat_map(|point| [point.1, point.2]);
        let dots = self.dots.iter().flat_map(|dots| &dots.points);
        let dots = dots.flat_map(|&(_, value, error)| [value - error, value + error]);
        lines.chain(bands).chain(dots)
    }

    fn axes(&self, drawing: &mut Drawing, frame: Frame, x: &Scale, y_ticks: &[(f64, String)]) {
        let Frame { left, right, top, bottom, .. } = frame;
        for (place, label) in y_ticks {
            drawing.line("g", (left, *place), (right, *place));
            drawing.text("k", Anchor::End, (left - 6.0, place + 4.0), label);
        }
        for (place, label) in x.ticks(8, |label| number_width(label) + 12.0) {
            drawing.line("g", (place, bottom), (place, bottom + 4.0));
            // None is cut off by the edge of the picture.
            let middle = place.min(SIZE.0 - number_width(&label) / 2.0);
            drawing.text("k", Anchor::Middle, (middle, bottom + 17.0), &label);
        }
        drawing.line("x", (left, bottom), (right, bottom));
        for (place, says) in &self.marks {
            if let Some(place) = x.at(*place) {
                drawing.path("m", says, &line_path(&[(place, top), (place, bottom)]));
            }
        }
    }

    fn content(&self, drawing: &mut Drawing, x: &Scale, y: &Scale) {
        for band in &self.bands {
            let placed =
                |&(place, lower, upper): &(f64, f64, f64)| Some((x.at(place)?, y.at(lower)?, y.at(upper)?));
            let placed: Vec<_> = band.points.iter().filter_map(placed).collect();
            let upper = placed.iter().map(|point| (point.0, point.2));
            let lower = placed.iter().rev().map(|point| (point.0, point.1));
            drawing.path(
                &format!("b f{}", band.colour % 8),
                &band.name,
                &line_path(&upper.chain(lower).collect::<Vec<_>>()),
            );
        }
        let points: usize = self.lines.iter().flat_map(|line| &line.paths).map(Vec::len).sum();
        let every = points / POINTS_MAX + 1;
        for line in &self.lines {
            let mut path = String::new();
            for points in &line.paths {
                let last = points.len().saturating_sub(1);
                let kept =
                    points.iter().enumerate().filter(|(place, _)| place % every == 0 || *place == last);
                let placed: Vec<_> =
                    kept.map(|(_, &(place, value))| Some((x.at(place)?, y.at(value?)?))).collect();
                for part in placed.split(Option::is_none) {
                    let mut part: Vec<(f64, f64)> = part.iter().flatten().copied().collect();
                    if let [only] = part[..] {
                        part.push((only.0 + 1.5, only.1));
                    }
                    path.push_str(&line_path(&part));
                }
            }
            let thin = if line.thin { "l" } else { "w" };
            let dash = if line.colour >= 8 { " d" } else { "" };
            drawing.path(&format!("{thin} s{}{dash}", line.colour % 8), &line.name, &path);
        }
        for dots in &self.dots {
            for &(place, value, error) in &dots.points {
                let (Some(place), Some(value), Some(low), Some(high)) =
                    (x.at(place), y.at(value), y.at(value - error), y.at(value + error))
                else {
                    continue;
                };
                drawing.line(&format!("l s{}", dots.colour % 8), (place, low), (place, high));
                drawing.dot(&format!("f{}", dots.colour % 8), (place, value), 2.5);
            }
        }
    }

    /// The names of all that has one, in rows; what no row is left for is counted.
    fn legend(&self) -> Vec<Entry> {
        // Bands lie over one another, the narrower ones over the wider ones, so their colours add up.
        let deep = |place: usize| {
            self.bands[..=place].iter().filter(|b| b.colour == self.bands[place].colour).count()
        };
        let bands =
            self.bands.iter().enumerate().map(|(place, band)| (&band.name, band.colour, "b f", deep(place)));
        let lines = self.lines.iter().map(|line| (&line.name, line.colour, "w s", 1));
        let dots = self.dots.iter().map(|dots| (&dots.name, dots.colour, "f", 1));
        let named: Vec<_> = lines.chain(bands).chain(dots).filter(|(name, ..)| !name.is_empty()).collect();
        let (mut x, mut row) = (MARGINS.0, 0);
        let mut entries = Vec::new();
        for (place, &(name, colour, class, times)) in named.iter().enumerate() {
            let name: String = shortened(name, NAME_LETTERS_MAX);
            let width = 22.0 + width(&name);
            if x + width > SIZE.0 && x > MARGINS.0 {
                (x, row) = (MARGINS.0, row + 1);
            }
            let at = (x, MARGINS.2 - 12.0 + LEGEND_ROW * row as f64);
            if row + 1 == LEGEND_ROWS_MAX {
                let name = format!("and {} more", named.len() - place);
                entries.push(Entry { at, name, class: "", colour: 0, times: 0 });
                break;
            }
            entries.push(Entry { at, name, class, colour, times });
            x += width + 8.0;
        }
        entries
    }
}

fn draw_legend(entries: &[Entry], drawing: &mut Drawing) {
    for Entry { at: (x, y), name, class, colour, times } in entries {
        let colours = format!("{class}{}", colour % 8);
        if *class == "w s" {
            let dash = if *colour >= 8 { " d" } else { "" };
            drawing.line(&(colours + dash), (*x, y - 4.0), (x + 14.0, y - 4.0));
        } else {
            for _ in 0..*times {
                drawing.rectangle(&colours, None, (*x, y - 9.0), (14.0, 9.0), "");
            }
        }
        drawing.text("k", Anchor::Start, (x + 18.0, *y), name);
    }
}

/// How wide a name is at most, in the fonts that people have.
fn width(name: &str) -> f64 {
    let wide = |letter: char| matches!(letter, 'm' | 'w' | 'M' | 'W' | '@' | '%') || !letter.is_ascii();
    name.chars().map(|letter| if wide(letter) { WIDE_LETTER } else { LETTER }).sum()
}

/// How wide a number beside an axis is, at most.
fn number_width(number: &str) -> f64 {
    DIGIT * number.len() as f64
}

/// A name with at most so many letters.
fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most - 1).chain(['\u{2026}']).collect()
}

/// A cell of a table.
pub(crate) fn cell(value: Option<f64>) -> String {
    number::optional(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: usize) -> Picture {
        let mut chart = Chart::new("c", "many names", "x", "y");
        for place in 0..names {
            let paths = vec![vec![(0.0, Some(0.0)), (1.0, Some(1.0))]];
            chart.lines.push(Line {
                name: format!("a name of a line {place}"),
                colour: place,
                paths,
                thin: false,
            });
        }
        chart.draw()
    }

    #[test]
    fn a_legend_drops_no_name_unless_it_says_so() {
        let picture = named(12);
        assert!((0..12).all(|place| picture.elements.contains(&format!(">a name of a line {place}<"))));
        assert!(picture.size.1 > SIZE.1);
        let many = named(500);
        assert!(many.elements.contains(">and 4") && many.size.1 < 2.0 * SIZE.1, "{}", many.size.1);
        assert_eq!(named(2).size, SIZE);
    }
}
