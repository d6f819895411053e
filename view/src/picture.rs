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
    /// How many rows there were before some were left out; 0 if none was.
    pub(crate) rows_before: usize,
}

impl Table {
    pub(crate) fn new(heading: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { heading: heading.iter().map(|name| (*name).to_owned()).collect(), rows, rows_before: 0 }
    }

    /// At most so many of its rows, and the first; the last among them.
    pub(crate) fn shortened(self, most: usize) -> Self {
        let (every, length) = (self.rows.len().div_ceil(most).max(1), self.rows.len());
        let kept = |(place, row)| (place == 0 || (length - 1 - place) % every == 0).then_some(row);
        let rows: Vec<_> = self.rows.into_iter().enumerate().filter_map(kept).collect();
        let rows_before = if rows.len() < length { length } else { 0 };
        Self { heading: self.heading, rows, rows_before }
    }

    /// As HTML; `label` says what it is about.
    pub fn html(&self, label: &str) -> String {
        let mut html = String::from("<table>");
        if self.rows_before > 0 {
            let (shown, all) = (self.rows.len(), self.rows_before);
            let _ = write!(html, "<caption>{shown} of {all} rows; `hebbian export` has all</caption>");
        }
        html.push_str("<thead><tr>");
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

/// Pictures below each other, as one; `None` if there are none.
pub fn stacked(id: &str, title: &str, pictures: &[&Picture]) -> Option<Picture> {
    let width = pictures.iter().map(|picture| picture.size.0).reduce(f64::max)?;
    let (mut height, mut elements) = (0.0, String::new());
    for picture in pictures {
        let _ = write!(elements, "<g transform=\"translate(0 {height})\">{}</g>", picture.elements);
        height += picture.size.1;
    }
    let says = pictures.iter().map(|picture| picture.says.as_str()).collect::<Vec<_>>().join(" ");
    let (id, title, table) = (id.to_owned(), title.to_owned(), Table::default());
    Some(Picture { id, title, says, size: (width, height), elements, table })
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
    fn pictures_stand_below_each_other() {
        let of = |size, elements: &str| Picture {
            id: "one".to_owned(),
            title: "One".to_owned(),
            says: "It says.".to_owned(),
            size,
            elements: elements.to_owned(),
            table: Table::default(),
        };
        let (low, high) = (of((10.0, 20.0), "<path d=\"M0 1\"/>"), of((30.0, 5.0), "<path d=\"M0 2\"/>"));
        let all = stacked("all", "All", &[&low, &high]).unwrap();
        assert_eq!(all.size, (30.0, 25.0));
        assert!(
            all.svg().contains("<g transform=\"translate(0 20)\"><path d=\"M0 2\"/></g>"),
            "{}",
            all.svg()
        );
        assert_eq!(stacked("all", "All", &[]), None);
    }

    #[test]
    fn a_shortened_table_has_its_last_row() {
        let rows = (0..102).map(|row| vec![row.to_string()]).collect();
        let table = Table::new(&["row"], rows).shortened(25);
        assert!(
            table.rows.len() <= 26 && table.html("t").contains("<caption>22 of 102 rows"),
            "{}",
            table.html("t")
        );
        assert_eq!((&table.rows[0][0][..], &table.rows.last().unwrap()[0][..]), ("0", "101"));
        assert!(Table::default().shortened(3).rows.is_empty());
    }
}
