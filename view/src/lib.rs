//! Pictures, tables and pages of runs. Pure: a history goes in, SVG and HTML come out; the live page, the report and files show the same.
//!
//! [`history`] folds a run's events to what can be drawn, [`panels`] draws it, [`rule`] shows a genome's numbers, [`comparison`] a rule
//! beside baselines, and [`document`] puts them on a page. Nothing comes from elsewhere: no font, no script, no picture.

mod chart;
pub mod comparison;
pub mod document;
pub mod escape;
pub mod history;
pub mod number;
pub mod panels;
pub mod picture;
pub mod rule;
mod scale;
mod svg;
