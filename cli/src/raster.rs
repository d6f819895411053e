//! A picture as PNG, for whoever cannot show SVG. Its letters are those of the fonts that are part of the program (`cli/fonts/`), so that
//! a picture is the same on every machine.

use std::sync::Arc;

use hebbian_view::picture::{Picture, STYLE};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

use crate::failure::Failure;

const FONTS: [&[u8]; 2] =
    [include_bytes!("../fonts/DejaVuSans.ttf"), include_bytes!("../fonts/DejaVuSans-Bold.ttf")];
/// The fonts' family, for all that a picture asks for.
const FAMILY: &str = "DejaVu Sans";
/// Pixels for each unit of a picture: enough for paper and for fine screens.
const SCALE: f32 = 2.0;

/// The picture as it is in the light, on white ground.
pub(crate) fn png(picture: &Picture) -> Result<Vec<u8>, Failure> {
    let failed = |problem: &dyn std::fmt::Display| {
        Failure::failed(format_args!("the picture `{}` cannot become a PNG: {problem}", picture.id))
    };
    let mut fonts = Database::new();
    for font in FONTS {
        fonts.load_font_data(font.to_vec());
    }
    fonts.set_sans_serif_family(FAMILY);
    let options = Options { font_family: FAMILY.to_owned(), fontdb: Arc::new(fonts), ..Options::default() };
    // The reader of SVG knows no other ground than the light one, and warns of whatever it does not know.
    let (light, _) = STYLE.split_once("@media").unwrap_or((STYLE, ""));
    let svg = picture.svg().replace(STYLE, light);
    let tree = Tree::from_str(&svg, &options).map_err(|error| failed(&error))?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let pixels = size.and_then(|size| Pixmap::new(size.width(), size.height()));
    let mut pixels = pixels.ok_or_else(|| failed(&"it has no size"))?;
    pixels.fill(Color::WHITE);
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use hebbian_proto::v1;
    use hebbian_proto::v1::run_event::Kind;
    use hebbian_shared::genome::GenomeLayout;
    use hebbian_shared::spec::RunSpec;
    use hebbian_view::document::RunPage;
    use hebbian_view::history::History;

    use super::*;

    #[test]
    fn the_style_for_the_dark_comes_last() {
        let (light, dark) = STYLE.split_once("@media").unwrap();
        assert!(
            light.contains(".f7") && dark.contains("prefers-color-scheme:dark") && !dark.contains("@media")
        );
        assert_eq!(dark.matches('}').count(), dark.matches('{').count(), "nothing follows it");
        assert!(dark.trim_end().ends_with("}\n}"));
    }

    fn pictures() -> Vec<Picture> {
        let layout: GenomeLayout = RunSpec::read(crate::QUICKSTART).unwrap().layout();
        let event = |generation| {
            let fitness = 0.5 + f64::from(generation) / 20.0;
            v1::RunEvent::of(Kind::Generation(v1::GenerationSummary {
                generation,
                best_fitness: Some(fitness),
                median_fitness: Some(fitness - 0.1),
                fitness_quantiles: (0..7).map(|place| fitness - 0.3 + f64::from(place) / 20.0).collect(),
                search: Some(v1::SearchSummary { step_size: 0.3, axis_ratio: 2.0, ..Default::default() }),
                ..Default::default()
            }))
        };
        let events: Vec<v1::RunEvent> = (0..8).map(event).collect();
        let history = History::of(&events);
        let run = v1::Run::default();
        let page = RunPage {
            run: &run,
            history: &history,
            result: None,
            layout: &layout,
            objective: "accuracy",
            comparison: &[],
            learned: None,
        };
        page.pictures()
    }

    #[test]
    fn a_picture_has_its_size_its_colours_and_its_letters() {
        let pictures = pictures();
        let picture = pictures.iter().find(|picture| picture.id == "fitness").unwrap();
        let pixels = Pixmap::decode_png(&png(picture).unwrap()).unwrap();
        let svg = picture.svg();
        let size = |name: &str| -> u32 {
            let rest = svg.split(&format!(" {name}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        assert_eq!((pixels.width(), pixels.height()), (2 * size("width"), 2 * size("height")));
        let has = |red, green, blue| {
            pixels.pixels().iter().any(|of| (of.red(), of.green(), of.blue()) == (red, green, blue))
        };
        assert!(has(0, 0x72, 0xb2), "the first line is blue");
        assert!(has(255, 255, 255) && !has(0x14, 0x18, 0x1d), "the ground is light");
        // Letters are what is left when there are no fonts.
        let without = Tree::from_str(&svg, &Options::default()).unwrap();
        let mut bare = Pixmap::new(pixels.width(), pixels.height()).unwrap();
        bare.fill(Color::WHITE);
        resvg::render(&without, Transform::from_scale(SCALE, SCALE), &mut bare.as_mut());
        let dark = |of: &Pixmap| of.pixels().iter().filter(|of| of.red() < 0x60 && of.blue() < 0x60).count();
        assert!(dark(&pixels) > dark(&bare) + 500, "{} and {}", dark(&pixels), dark(&bare));
    }

    #[test]
    fn the_fonts_have_every_letter_of_every_picture() {
        let mut fonts = Database::new();
        for font in FONTS {
            fonts.load_font_data(font.to_vec());
        }
        assert_eq!(fonts.faces().map(|face| face.families[0].0.as_str()).collect::<Vec<_>>(), [FAMILY; 2]);
        let letters: std::collections::BTreeSet<char> =
            pictures().iter().flat_map(|picture| picture.svg().chars().collect::<Vec<_>>()).collect();
        assert!(letters.iter().all(char::is_ascii), "is the letter in the fonts? {letters:?}");
    }
}
