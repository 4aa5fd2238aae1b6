"""What the tables of the report are made of: rows pooled to accuracies, what tells them apart, scores and orders."""
