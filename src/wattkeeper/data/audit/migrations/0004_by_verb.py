"""What a verb did since an instant, and what it did to one thing, is found without reading all that it did."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_heads")]

    operations = [
        migrations.AddIndex(
            "AuditRecord", models.Index(fields=["verb", "recorded_at"], name="audit_verb_at")
        ),
        migrations.AddIndex(
            "AuditRecord", models.Index(fields=["verb", "subject"], name="audit_verb_subject")
        ),
    ]
