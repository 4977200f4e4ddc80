//! Figures over samples: where they lie, which stand apart, and whether two sets differ by more than chance.

/// At most so many values together are compared exactly: the counts of ways stay whole in a double (2^53) up to here.
const EXACT_MAX: usize = 50;
/// How far beyond the quartiles a value stands apart, in distances between them (Tukey's fences).
const FENCE: f64 = 1.5;
/// Of three values none can lie beyond the fences: the quartiles are drawn towards the one that is far away.
const OUTLIERS_FROM: usize = 4;

/// A part of a whole; nothing of nothing.
pub(crate) fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| count(part) / count(whole))
}

/// The mean; none of nothing.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values.len()))
}

/// The median: between the two in the middle where there are two.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    between(&sorted(values), 0.5)
}

/// The smallest value that 95 of 100 are not above (nearest rank).
pub(crate) fn p95(values: &[f64]) -> Option<f64> {
    p95_of_sorted(&sorted(values))
}

/// As [`p95`], of values that are in order already.
pub(super) fn p95_of_sorted(sorted: &[f64]) -> Option<f64> {
    // ⌈95 n / 100⌉, at least the first.
    let rank = (sorted.len() * 95).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// How far values lie apart, as a share of their mean: the standard deviation (of a sample, n − 1) by the mean. Nothing
/// of fewer than two, or where the mean is 0.
pub(super) fn spread(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    if values.len() < 2 || mean == 0.0 {
        return None;
    }
    let squares: f64 = values.iter().map(|it| (it - mean).powi(2)).sum();
    Some((squares / count(values.len() - 1)).sqrt() / mean.abs())
}

/// Which values stand apart from the others, by their place in `values`.
pub(super) fn outliers(values: &[f64]) -> Vec<usize> {
    let sorted = sorted(values);
    let quartiles = (between(&sorted, 0.25), between(&sorted, 0.75));
    let (Some(low), Some(high)) = quartiles else {
        return Vec::new();
    };
    if values.len() < OUTLIERS_FROM {
        return Vec::new();
    }
    let reach = FENCE * (high - low);
    let apart = |value: f64| value < low - reach || value > high + reach;
    let places = values.iter().enumerate();
    places
        .filter(|(_, value)| apart(**value))
        .map(|(at, _)| at)
        .collect()
}

/// How often chance alone would part two sets as far as these are, in either direction: the Mann-Whitney U test
/// (Mann and Whitney 1947), exact under ties for up to fifty values, by the normal approximation with the correction for ties above.
/// Nothing where a set is empty.
pub(crate) fn chance(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let all: Vec<f64> = a.iter().chain(b).copied().collect();
    let ranks = doubled_ranks(&all);
    let observed: usize = ranks.iter().take(a.len()).sum();
    Some(match all.len() <= EXACT_MAX {
        true => exact(&ranks, a.len(), observed),
        false => approximate(&ranks, a.len(), observed),
    })
}

/// The least that [`chance`] can be for sets of these sizes: every value of one below every value of the other.
pub(super) fn least_chance(a: usize, b: usize) -> Option<f64> {
    // Asked of the test itself and not of a formula, so that the two agree above fifty values too, where it approximates.
    let below: Vec<f64> = (0..a).map(count).collect();
    let above: Vec<f64> = (a..a + b).map(count).collect();
    chance(&below, &above)
}

/// Holm's step-down correction (1979): with many questions at once some answer is bound to look rare.
pub(super) fn holm(chances: &mut [Option<f64>]) {
    let asked = chances.iter().flatten().count();
    let mut order: Vec<usize> = (0..chances.len()).collect();
    let at = |chances: &[Option<f64>], place: usize| chances.get(place).copied().flatten();
    order.sort_by(|a, b| {
        let of = |place: &usize| at(chances, *place).unwrap_or(f64::INFINITY);
        of(a).total_cmp(&of(b))
    });
    // A rarer one is never corrected to more than a less rare one: without this the next factor, which is smaller, would
    // turn the order around.
    let mut least = 0.0_f64;
    for (done, place) in order.into_iter().take(asked).enumerate() {
        let Some(Some(chance)) = chances.get_mut(place) else {
            continue;
        };
        least = least.max(*chance * count(asked - done)).min(1.0);
        *chance = least;
    }
}

/// Twice the rank of each value, so that those that share one (the mean of theirs) stay whole.
fn doubled_ranks(values: &[f64]) -> Vec<usize> {
    // Looked up in order: counted anew for each value, the work would grow with the square of the runs.
    let sorted = sorted(values);
    let rank = |value: f64| {
        let less = sorted.partition_point(|it| it.total_cmp(&value).is_lt());
        let not_above = sorted.partition_point(|it| it.total_cmp(&value).is_le());
        less + not_above + 1
    };
    values.iter().copied().map(rank).collect()
}

/// Over all ways to take `size` of the ranks: the share whose sum is as far from the middle as `observed`.
fn exact(ranks: &[usize], size: usize, observed: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    // ways[k][s]: in how many ways k ranks have the sum s.
    let mut ways = vec![vec![0.0_f64; total + 1]; size + 1];
    if let Some(none) = ways.first_mut().and_then(|it| it.first_mut()) {
        *none = 1.0;
    }
    for &rank in ranks {
        // From the most ranks down: upwards, a rank would be added to a sum that has it already.
        for taken in (1..=size).rev() {
            let (fewer, these) = ways.split_at_mut(taken);
            let (Some(fewer), Some(these)) = (fewer.last(), these.first_mut()) else {
                continue;
            };
            for (sum, ways) in fewer.iter().enumerate().take(total + 1 - rank) {
                if let Some(there) = these.get_mut(sum + rank) {
                    *there += ways;
                }
            }
        }
    }
    let Some(sums) = ways.last() else { return 1.0 };
    // The middle is size · total / n; both sides are multiplied by n.
    let distance = |sum: usize| (sum * ranks.len()).abs_diff(size * total);
    let far = distance(observed);
    let (all, as_far) = sums
        .iter()
        .enumerate()
        .fold((0.0, 0.0), |(all, as_far), (sum, ways)| {
            (
                all + ways,
                as_far + if distance(sum) >= far { *ways } else { 0.0 },
            )
        });
    as_far / all
}

fn approximate(ranks: &[usize], size: usize, observed: usize) -> f64 {
    let (n, a) = (count(ranks.len()), count(size));
    let ranks: Vec<f64> = ranks.iter().map(|rank| count(*rank) / 2.0).collect();
    let middle = ranks.iter().sum::<f64>() / n;
    let spread: f64 = ranks.iter().map(|rank| (rank - middle).powi(2)).sum();
    let variance = a * (n - a) * spread / (n * (n - 1.0));
    // All values are the same: nothing parts the two sets.
    if variance <= 0.0 {
        return 1.0;
    }
    // Half a step towards the middle, because a sum of ranks is not continuous.
    let away = ((count(observed) / 2.0 - a * middle).abs() - 0.5).max(0.0);
    complementary_error(away / (2.0 * variance).sqrt()).min(1.0)
}

/// erfc for x ≥ 0: Abramowitz and Stegun, formula 7.1.26, off by at most 1.5e-7.
fn complementary_error(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let terms = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ];
    let series = terms.iter().fold(0.0, |sum, term| (sum + term) * t);
    series * (-x * x).exp()
}

/// The value at a share of the way through sorted ones, in a straight line between neighbours.
fn between(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share * count(sorted.len().checked_sub(1)?);
    let low = at.floor();
    let mut from = sorted.iter().skip(place(low));
    let value = *from.next()?;
    let next = from.next().copied().unwrap_or(value);
    Some(value + (next - value) * (at - low))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of runs and of ranks, far below 2^53"
)]
pub(super) fn count(n: usize) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number between 0 and the length of a list"
)]
fn place(at: f64) -> usize {
    at as usize
}
