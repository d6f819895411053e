//! A picture with its numbers, as a file or as a part of a page.

use std::fmt::Write as _;

use crate::escape;

/// Colours and lines of all pictures: light, or dark where the reader prefers that. The colours are those of Okabe and Ito, which
/// people tell apart who do not see all colours, on the dark ground their lighter relatives; lines of the second eight are dashed.
pub const STYLE: &str = include_str!("style.css");

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Its name in commands and addresses.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it shows, in a sentence.
    pub says: String,
    pub(crate) size: (f64, f64),
    pub(crate) elements: String,
    pub(crate) table: Table,
}

/// Numbers in rows below a heading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Names of the columns, with units.
    pub heading: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(heading: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { heading: heading.iter().map(|name| (*name).to_owned()).collect(), rows }
    }

    /// At most so many of its rows, the last among them.
    pub(crate) fn shortened(self, most: usize) -> Self {
        let (every, length) = (self.rows.len().div_ceil(most).max(1), self.rows.len());
        let kept = |(place, row)| ((length - 1 - place) % every == 0).then_some(row);
        Self { heading: self.heading, rows: self.rows.into_iter().enumerate().filter_map(kept).collect() }
    }

    /// As HTML; `label` says what it is about.
    pub fn html(&self, label: &str) -> String {
        let mut html = String::from("<table><thead><tr>");
        for name in &self.heading {
            let _ = write!(html, "<th scope=\"col\">{}</th>", escape::name(name));
        }
        html.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            html.push_str("<tr>");
            for (place, cell) in row.iter().enumerate() {
                let cell = escape::name(cell);
                let _ = if place == 0 {
                    write!(html, "<th scope=\"row\">{cell}</th>")
                } else {
                    write!(html, "<td>{cell}</td>")
                };
            }
            html.push_str("</tr>");
        }
        scrolling(label, &(html + "</tbody></table>"))
    }
}

/// A table that scrolls by itself where it is wide, also without a mouse: what takes the focus has a role and a name. (The table cannot do
/// it: as a block it is none to some screen readers.)
pub fn scrolling(label: &str, table: &str) -> String {
    let label = escape::name(label);
    format!("<div class=\"wide\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\">{table}</div>")
}

impl Picture {
    /// The picture as a file of its own.
    pub fn svg(&self) -> String {
        let (width, height) = self.size;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"hv\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\"><title>{}</title><desc>{}</desc><style>{STYLE}</style>{}</svg>\n",
            escape::name(&self.title),
            escape::text(&self.says),
            self.elements
        )
    }

    /// The picture as a part of a page that has the style, with its numbers below it.
    pub fn html(&self) -> String {
        let (width, height) = self.size;
        let (title, says) = (escape::name(&self.title), escape::text(&self.says));
        let table = if self.table.rows.is_empty() {
            String::new()
        } else {
            format!("<details><summary>Numbers: {title}</summary>{}</details>", self.table.html(&self.title))
        };
        format!(
            "<figure id=\"{}\"><svg class=\"hv\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}. {says}\">{}</svg>\
             <figcaption>{says}</figcaption>{table}</figure>",
            self.id, self.elements
        )
    }

    /// Its numbers.
    pub fn table(&self) -> &Table {
        &self.table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_table_has_its_last_row() {
        let rows = (0..101).map(|row| vec![row.to_string()]).collect();
        let table = Table::new(&["row"], rows).shortened(25);
        assert!(table.rows.len() <= 25);
        assert_eq!(table.rows.last().unwrap()[0], "100");
        assert!(Table::default().shortened(3).rows.is_empty());
    }
}
