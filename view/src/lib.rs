//! Pictures, tables and pages of runs. Pure: a history goes in, SVG and HTML come out; the live page, the report and files show the same.
//!
//! [`history`] folds a run's events to what can be drawn, [`panels`] draws it, [`rule`] shows a genome's numbers, [`learned`] what networks answer that learn by it, [`comparison`] a rule
//! beside baselines, [`runs`] several runs beside each other, [`cluster`] the throughput, and [`document`] puts them on a page. Nothing comes from elsewhere: no font, no script, no picture.

mod chart;
pub mod cluster;
pub mod comparison;
pub mod document;
pub mod escape;
mod heat;
pub mod history;
pub mod learned;
pub mod number;
pub mod panels;
pub mod picture;
pub mod rule;
pub mod runs;
mod scale;
mod svg;
