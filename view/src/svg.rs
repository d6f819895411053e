//! The few parts of SVG that the pictures need, written briefly: places have one decimal, paths are relative.

use std::fmt::Write as _;

use crate::escape;

/// What has been drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drawing(String);

/// Where a text is held.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Drawing {
    /// The elements.
    pub(crate) fn into_elements(self) -> String {
        self.0
    }

    /// A straight line.
    pub(crate) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.path(class, "", &line_path(&[(x1, y1), (x2, y2)]));
    }

    /// A path of class names; what it is called is shown by those who point at it.
    pub(crate) fn path(&mut self, class: &str, called: &str, path: &str) {
        if path.is_empty() {
            return;
        }
        let _ = write!(self.0, "<path class=\"{class}\" d=\"{path}\"");
        self.close("path", called);
    }

    /// A rectangle with a colour of its own, or, without one, of its class.
    pub(crate) fn rectangle(
        &mut self,
        class: &str,
        fill: Option<&str>,
        at: (f64, f64),
        size: (f64, f64),
        called: &str,
    ) {
        let (x, y, width, height) = (place(at.0), place(at.1), place(size.0), place(size.1));
        let _ = write!(self.0, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"");
        if !class.is_empty() {
            let _ = write!(self.0, " class=\"{class}\"");
        }
        if let Some(fill) = fill {
            let _ = write!(self.0, " fill=\"{fill}\"");
        }
        self.close("rect", called);
    }

    /// A round mark.
    pub(crate) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let _ = write!(
            self.0,
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{radius}\"/>",
            place(x),
            place(y)
        );
    }

    /// A text that is hostile until it is here.
    pub(crate) fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let text = escape::name(text);
        let _ = write!(
            self.0,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\"{anchor}>{text}</text>",
            place(x),
            place(y)
        );
    }

    /// A text that is read from below.
    pub(crate) fn upright(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let (x, y, text) = (place(x), place(y), escape::name(text));
        let _ = write!(
            self.0,
            "<text class=\"{class}\" text-anchor=\"middle\" transform=\"translate({x} {y})rotate(-90)\">{text}</text>"
        );
    }

    fn close(&mut self, element: &str, called: &str) {
        if called.is_empty() {
            self.0.push_str("/>");
        } else {
            let _ = write!(self.0, "><title>{}</title></{element}>", escape::name(called));
        }
    }
}

/// A place with at most one decimal.
fn place(value: f64) -> String {
    tenths((value * 10.0).round() as i64)
}

fn tenths(value: i64) -> String {
    let (sign, value) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    match (value / 10, value % 10) {
        (whole, 0) => format!("{sign}{whole}"),
        (0, part) => format!("{sign}.{part}"),
        (whole, part) => format!("{sign}{whole}.{part}"),
    }
}

/// The path along points; empty for none.
pub(crate) fn line_path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    let mut last = (0, 0);
    for (number, &(x, y)) in points.iter().enumerate() {
        let here = ((x * 10.0).round() as i64, (y * 10.0).round() as i64);
        if number == 0 {
            let _ = write!(path, "M{}", pair(here));
        } else if here != last || points.len() == 2 {
            let _ = write!(path, "l{}", pair((here.0 - last.0, here.1 - last.1)));
        }
        last = here;
    }
    path
}

fn pair((x, y): (i64, i64)) -> String {
    let (x, y) = (tenths(x), tenths(y));
    if y.starts_with('-') { x + &y } else { format!("{x} {y}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_brief_and_do_not_drift() {
        assert_eq!(line_path(&[]), "");
        assert_eq!(line_path(&[(1.0, 2.04), (1.5, 1.0), (1.5, 1.0), (0.0, 3.0)]), "M1 2l.5-1l-1.5 2");
        let path = line_path(&(0..1000).map(|i| (f64::from(i) * 0.33, 0.0)).collect::<Vec<_>>());
        let steps = path.split('l').skip(1).map(|step| step.split(' ').next().unwrap());
        let whole: f64 = steps.map(|step| step.parse::<f64>().unwrap()).sum();
        assert!((whole - 329.7).abs() < 0.06, "{whole}");
    }

    #[test]
    fn texts_are_escaped() {
        let mut drawing = Drawing::default();
        drawing.text("t", Anchor::Middle, (1.0, -0.25), "<b>");
        drawing.path("a", "\"x\"", "M1 2");
        let expected = "<text class=\"t\" x=\"1\" y=\"-.3\" text-anchor=\"middle\">&lt;b&gt;</text>\
                        <path class=\"a\" d=\"M1 2\"><title>&quot;x&quot;</title></path>";
        assert_eq!(drawing.into_elements(), expected);
    }
}
