//! Charts as SVG, drawn by `plotters` in the colours of a light page.
//!
//! A chart is whole by itself: it has its own background and colours, so that an exported one looks the same anywhere. The
//! page turns the colours into its own by their values, in the dark too (`style.css`). What evidence says is escaped by
//! the library, and cut where it would leave the picture.

use std::io;

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels of a chart's width; the page scales it.
const WIDTH: u32 = 760;
/// Pixels of the height of a chart with axes.
const HEIGHT: u32 = 300;
/// Pixels of a bar with the space around it.
const BAR: i32 = 30;
/// Pixels for the names of bars, and for their numbers.
const NAMES: i32 = 250;
const NUMBERS: i32 = 90;
/// Characters of a name that fit there: of its beginning and its end.
const NAME_CHARS: (usize, usize) = (22, 11);
/// Size of text, as plotters counts it: it is written a quarter smaller.
const TEXT: i32 = 16;

/// Colours, each of which `style.css` knows.
const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
const INK: RGBColor = RGBColor(0x1B, 0x1F, 0x24);
const SOFT: RGBColor = RGBColor(0x55, 0x5D, 0x68);
const GRID: RGBColor = RGBColor(0xDF, 0xE1, 0xDE);
const FIRST: RGBColor = RGBColor(0x1D, 0x5A, 0xA6);
const SECOND: RGBColor = RGBColor(0xB0, 0x61, 0x1A);

/// Why a chart is not there: nothing that evidence says, only what cannot be written.
type Undrawn = DrawingAreaErrorKind<io::Error>;

/// A number with its name.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) value: f64,
    /// As it is written beside the bar.
    pub(super) shown: String,
}

/// A picture with its title, and buttons that hand it out; nothing where it cannot be drawn, because its numbers stand in a
/// table beside it.
pub(super) fn figure(id: &str, title: &str, drawn: Result<String, Undrawn>) -> Markup {
    let Ok(svg) = drawn else {
        debug_assert!(false, "a chart in memory can always be drawn");
        return html! {};
    };
    let label = html! { (title) }.into_string();
    let named = svg.replacen(
        "<svg ",
        &format!("<svg role=\"img\" aria-label=\"{label}\" "),
        1,
    );
    html! {
        figure.chart id=(id) {
            div.scroll role="region" tabindex="0" aria-label=(title) { (PreEscaped(named)) }
            figcaption {
                (title)
                span.exports {
                    button type="button" data-form="svg" { "SVG" }
                    button type="button" data-form="png" { "PNG" }
                }
            }
        }
    }
}

/// Bars of one unit below each other.
pub(super) fn bars(rows: &[Named]) -> Result<String, Undrawn> {
    let height = BAR * i32::try_from(rows.len()).unwrap_or(i32::MAX / BAR).max(1);
    drawn(u32::try_from(height).unwrap_or(HEIGHT), |root| {
        let most = rows.iter().map(|it| it.value).fold(0.0, f64::max);
        let room = f64::from(i32::try_from(WIDTH).unwrap_or(0) - NAMES - NUMBERS);
        let style =
            |color: &'static RGBColor, at: HPos| text(color).pos(Pos::new(at, VPos::Center));
        for (at, row) in (0_i32..).zip(rows) {
            let middle = BAR * at + BAR / 2;
            let share = if most > 0.0 { row.value / most } else { 0.0 };
            let end = NAMES + pixels(share * room);
            let bar = [(NAMES, middle - BAR / 3), (end, middle + BAR / 3)];
            root.draw(&Rectangle::new(bar, FIRST.filled()))?;
            let name = (NAMES - 10, middle);
            root.draw(&Text::new(cut(&row.name), name, style(&INK, HPos::Right)))?;
            let number = (end + 8, middle);
            root.draw(&Text::new(
                row.shown.clone(),
                number,
                style(&SOFT, HPos::Left),
            ))?;
        }
        Ok(())
    })
}

/// A number by day as points, with its trend as a line.
pub(super) fn days(days: &[(&str, f64, f64)], unit: &str) -> Result<String, Undrawn> {
    drawn(HEIGHT, |root| {
        let last = i32::try_from(days.len())
            .unwrap_or(i32::MAX)
            .saturating_sub(1);
        let most = days.iter().map(|(_, value, trend)| value.max(*trend));
        let most = headroom(most.fold(0.0, f64::max));
        let mut chart = ChartBuilder::on(root)
            .margin(14)
            .x_label_area_size(34)
            .y_label_area_size(84)
            // One day alone has an axis of some length, too.
            .build_cartesian_2d(0..last.max(1), 0.0..most)?;
        let name = |at: &i32| {
            let place = usize::try_from(*at).unwrap_or(usize::MAX);
            days.get(place)
                .map_or_else(String::new, |(day, ..)| (*day).to_owned())
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(SOFT)
            .label_style(text(&SOFT))
            .x_labels(6)
            .y_labels(5)
            .x_label_formatter(&name)
            .y_label_formatter(&|value| number(*value))
            .y_desc(unit)
            .draw()?;
        let points = (0_i32..).zip(days);
        let trend: Vec<(i32, f64)> = points
            .clone()
            .map(|(at, (_, _, trend))| (at, *trend))
            .collect();
        chart.draw_series(LineSeries::new(trend, SECOND.stroke_width(2)))?;
        chart.draw_series(
            points.map(|(at, (_, value, _))| Circle::new((at, *value), 4, FIRST.filled())),
        )?;
        Ok(())
    })
}

/// Numbered points between two axes.
pub(super) fn scatter(points: &[(f64, f64)], x: &str, y: &str) -> Result<String, Undrawn> {
    drawn(HEIGHT, |root| {
        let most = headroom(points.iter().map(|(x, _)| *x).fold(0.0, f64::max));
        let mut chart = ChartBuilder::on(root)
            .margin(14)
            .x_label_area_size(52)
            .y_label_area_size(70)
            // Quality ends at 1, and a point there is not to be cut in half.
            .build_cartesian_2d(0.0..most, 0.0..1.05_f64)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(SOFT)
            .label_style(text(&SOFT))
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&|value| number(*value))
            .y_label_formatter(&|value| format!("{value:.1}"))
            .x_desc(x)
            .y_desc(y)
            .draw()?;
        for (at, point) in (1_u32..).zip(points) {
            let dot = EmptyElement::at(*point)
                + Circle::new((0, 0), 6, FIRST.filled())
                + Text::new(at.to_string(), (10, -8), text(&INK));
            chart.draw_series(std::iter::once(dot))?;
        }
        Ok(())
    })
}

/// A picture of this height, with a background of its own.
fn drawn(
    height: u32,
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<(), Undrawn>,
) -> Result<String, Undrawn> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        root.fill(&PAPER)?;
        draw(&root)?;
        root.present()?;
    }
    Ok(svg)
}

fn text(color: &'static RGBColor) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", TEXT).into_font()).color(color)
}

/// Above the highest point. An axis of nothing has a length too; less than a millionth is written as nothing.
fn headroom(most: f64) -> f64 {
    if most >= 1e-6 { most * 1.1 } else { 1.0 }
}

/// As few digits as tell the ticks of an axis apart.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.6}"),
    }
}

/// A name as far as it fits, without its middle: families of models begin alike, and a reasoning mode stands at the end.
fn cut(name: &str) -> String {
    let (first, last) = NAME_CHARS;
    let length = name.chars().count();
    if length <= first + 1 + last {
        return name.to_owned();
    }
    let begins: String = name.chars().take(first).collect();
    let ends: String = name.chars().skip(length - last).collect();
    format!("{begins}…{ends}")
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a share of a picture's width"
)]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}
