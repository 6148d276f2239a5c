"""Studies of stages: networks trained and compressed, attacked, and tried against each other's
attacks. A stage that is done is never done again."""
