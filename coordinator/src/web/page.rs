//! A page as those who look at it are sent it: in its frame at first, then what has changed. Pictures are nearly all of a page and change
//! less often than what stands around them, so whoever has them is not sent them again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::access::May;
use super::body::{Content, Packed};
use super::pages;

/// A page, in its frame or without.
#[derive(Clone)]
pub(super) struct Page {
    title: String,
    body: Arc<Body>,
    body_path: String,
    events_path: String,
}

/// What is in the frame.
struct Body {
    before: String,
    pictures: Option<Arc<Pictured>>,
    behind: String,
    /// All of it, once somebody has asked for that.
    whole: OnceLock<Arc<Packed>>,
    /// The same for whoever has the pictures.
    around: OnceLock<Arc<Packed>>,
}

/// Pictures as HTML, with a name that no others have.
pub(super) struct Pictured {
    html: String,
    stamp: String,
}

impl Pictured {
    pub(super) fn new(html: String) -> Arc<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Those of an earlier process have another time.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Arc::new(Self { html, stamp: format!("{:x}-{number}", since.as_nanos()) })
    }
}

/// What whoever asks for a body says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// The pictures that they have.
    pub(super) drawn: &'a str,
    /// The moment that they were told of, of all pages that change at the same moments.
    pub(super) at: Option<u64>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(query: &'a str) -> Self {
        let value = |wanted: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(key, value)| (key == wanted).then_some(value))
        };
        Self { drawn: value("drawn").unwrap_or_default(), at: value("at").and_then(|at| at.parse().ok()) }
    }
}

impl Page {
    pub(super) fn new(
        title: String,
        (before, pictures, behind): (String, Option<Arc<Pictured>>, String),
        (body_path, events_path): (String, String),
    ) -> Self {
        let (whole, around) = (OnceLock::new(), OnceLock::new());
        Self {
            title,
            body: Arc::new(Body { before, pictures, behind, whole, around }),
            body_path,
            events_path,
        }
    }

    /// One that changes only when it is loaded again.
    pub(super) fn at_rest(title: String, body: String) -> Self {
        Self::new(title, (body, None, String::new()), (String::new(), String::new()))
    }

    /// One that changes all the time.
    pub(super) fn of_cluster(
        title: &str,
        parts: (String, Option<Arc<Pictured>>, String),
        body_path: String,
    ) -> Self {
        Self::new(title.to_owned(), parts, (body_path, "/events".to_owned()))
    }

    /// All of it, for somebody who may do so much.
    pub(super) fn content(&self, may: May) -> Content {
        let paths = (self.body_path.as_str(), self.events_path.as_str());
        Content::whole(pages::shell(&self.title, paths, may, self.body.whole().text()))
    }

    /// What is in the frame, without the pictures if whoever asks has them.
    pub(super) fn body(&self, asked: Asked<'_>) -> Content {
        let has = |pictures: &Arc<Pictured>| pictures.stamp == asked.drawn;
        Content::Text(Arc::clone(if self.body.pictures.as_ref().is_some_and(has) {
            self.body.around()
        } else {
            self.body.whole()
        }))
    }

    /// Whether both are one drawing.
    #[cfg(test)]
    pub(super) fn is_drawn_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.body, &other.body)
    }

    /// Compresses the whole body before anybody asks for it.
    pub(super) fn pack(&self) {
        self.body.whole().pack();
    }
}

impl Body {
    fn whole(&self) -> &Arc<Packed> {
        let pictures = self.pictures.as_ref().map_or("", |pictures| &pictures.html);
        self.whole.get_or_init(|| Packed::new(self.with(pictures)))
    }

    fn around(&self) -> &Arc<Packed> {
        self.around.get_or_init(|| Packed::new(self.with("")))
    }

    fn with(&self, pictures: &str) -> String {
        let Self { before, behind, .. } = self;
        match &self.pictures {
            Some(of) => {
                format!("{before}<div id=\"pictures\" data-drawn=\"{}\">{pictures}</div>{behind}", of.stamp)
            }
            None => format!("{before}{behind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_pictures_is_not_sent_them() {
        let pictures = |html: &str| Some(Pictured::new(html.to_owned()));
        let page = |pictures| {
            Page::new(
                "t".to_owned(),
                ("<h1>".to_owned(), pictures, "<p>".to_owned()),
                (String::new(), String::new()),
            )
        };
        let body = |page: &Page, drawn: &str| match page.body(Asked { drawn, at: None }) {
            Content::Text(text) => text.text().to_owned(),
            Content::Whole(_) | Content::Events(_) => unreachable!("it is a text"),
        };
        let drawn = pictures("<svg>");
        let stamp = drawn.as_ref().unwrap().stamp.clone();
        let first = page(drawn);
        assert_eq!(
            body(&first, ""),
            format!("<h1><div id=\"pictures\" data-drawn=\"{stamp}\"><svg></div><p>")
        );
        assert_eq!(
            body(&first, &stamp),
            format!("<h1><div id=\"pictures\" data-drawn=\"{stamp}\"></div><p>")
        );
        assert!(body(&page(pictures("<svg>")), &stamp).contains("<svg>"), "others have another stamp");
        assert_eq!(body(&page(None), ""), "<h1><p>");
    }

    #[test]
    fn a_query_says_what_somebody_has() {
        assert_eq!(Asked::of(""), Asked::default());
        assert_eq!(Asked::of("at=7&drawn=1f"), Asked { drawn: "1f", at: Some(7) });
        assert_eq!(Asked::of("at=&drawn=&x"), Asked::default());
    }
}
