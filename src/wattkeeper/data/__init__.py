"""The relational side: thin Django models, constraints, migrations, queries."""
