"""Training: models, the loop, data sets. In: expressions and arrays. Out: trained parameters and their history."""
