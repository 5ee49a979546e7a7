use serde::{Deserialize, Serialize};

use super::SpecError;

/// The `[targets]` section: what a model must reach to be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetsSpec {
    /// Least accuracy on the test rows, above 0 and at most 1. After the last step it is compared on shares: one bit is opened, to all
    /// parties, whoever receives the accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Largest ε of `[privacy]`. A job that asks for more does not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Open a model that misses its targets all the same (default: no).
    #[serde(default)]
    pub open_anyway: bool,
}

impl TargetsSpec {
    /// Checks the section against the ε that `[privacy]` asks for, `None` if the job is not private.
    ///
    /// # Errors
    /// The key and what to write instead.
    pub fn validate(&self, privacy: Option<f64>) -> Result<(), SpecError> {
        if let Some(accuracy) = self.accuracy
            && !(accuracy > 0.0 && accuracy <= 1.0)
        {
            let expected = "use a share of the test rows, above 0 and at most 1";
            return Err(SpecError::value("targets.accuracy", accuracy, expected));
        }
        let Some(most) = self.epsilon else { return Ok(()) };
        if !(most > 0.0 && most.is_finite()) {
            return Err(SpecError::value("targets.epsilon", most, "use a number above 0"));
        }
        let Some(asked) = privacy else {
            let expected = "add a [privacy] section, or leave the target out: the job bounds no epsilon";
            return Err(SpecError::value("targets.epsilon", most, expected));
        };
        if asked > most && !self.open_anyway {
            let expected = format!(
                "but privacy.epsilon is {asked}: lower it, raise the target, or set targets.open_anyway = true"
            );
            return Err(SpecError::value("targets.epsilon", most, expected));
        }
        Ok(())
    }

    /// Whether the ε that `[privacy]` asks for is within the target; `None` without one of them.
    pub fn met_epsilon(&self, privacy: Option<f64>) -> Option<bool> {
        Some(privacy? <= self.epsilon?)
    }

    /// Correct predictions that `rows` test rows need.
    pub(crate) fn needed(&self, rows: usize) -> Option<usize> {
        // A hair less, for shares such as 0.95 that have no exact number: 19 of 20 rows must do.
        self.accuracy.map(|share| (share * rows as f64 * (1.0 - 1e-12)).ceil() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(text: &str) -> TargetsSpec {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_share_of_the_rows_is_rounded_up_to_whole_rows() {
        for (share, rows, needed) in
            [(0.95, 20, 19), (0.95, 114, 109), (1.0, 7, 7), (0.3, 10, 3), (0.01, 5, 1)]
        {
            assert_eq!(
                targets(&format!("accuracy = {share}")).needed(rows),
                Some(needed),
                "{share} of {rows}"
            );
        }
        assert_eq!(targets("").needed(10), None);
    }

    #[test]
    fn targets_that_cannot_be_met_or_judged_are_refused() {
        for (text, privacy, part) in [
            ("accuracy = 0.0", None, "targets.accuracy is 0"),
            ("accuracy = 1.5", None, "targets.accuracy is 1.5"),
            ("accuracy = nan", None, "targets.accuracy is NaN"),
            ("epsilon = 0.0", Some(1.0), "targets.epsilon is 0"),
            ("epsilon = 1.0", None, "add a [privacy] section"),
            ("epsilon = 1.0", Some(1.5), "privacy.epsilon is 1.5"),
        ] {
            let error = targets(text).validate(privacy).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        targets("epsilon = 1.0").validate(Some(1.0)).unwrap();
        let anyway = targets("epsilon = 1.0\nopen_anyway = true");
        anyway.validate(Some(1.5)).unwrap();
        assert_eq!(
            [Some(1.5), Some(1.0), None].map(|e| anyway.met_epsilon(e)),
            [Some(false), Some(true), None]
        );
        assert_eq!(targets("").met_epsilon(Some(1.0)), None);
        targets("accuracy = 0.9").validate(None).unwrap();
        assert!(toml::from_str::<TargetsSpec>("accurracy = 0.9").is_err());
    }
}
