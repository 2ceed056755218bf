"""Columns whose texts are sealed at rest and plain in Python.

A column may have a plain forerunner (`plain`), of a release that did not seal: what is found there is read
until it is sealed, and blank afterwards. Sealed columns are not sorted, compared or searched by the
database; `words` finds them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.validators import MaxLengthValidator
from django.db import models, transaction
from django.db.models.query_utils import DeferredAttribute

from wattkeeper.data.sealing.vault import Sealed, one_key, seal, unseal
from wattkeeper.data.sealing.words import index_row

if TYPE_CHECKING:
    _Text = models.Field[str, str]
else:
    _Text = models.Field


class SealedAttribute(DeferredAttribute):
    """Opens the value when it is asked for."""

    field: "SealedTextField"

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is None:
            return self
        value = super().__get__(instance, cls)
        if isinstance(value, Sealed):
            return unseal(value, place=self.field.place, row=instance.seal_identity()).decode()
        if value is None and self.field.plain:
            return getattr(instance, self.field.plain)
        return value or ""

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class SealedTextField(_Text):
    """A text, sealed; the empty one is NULL in the database."""

    descriptor_class = SealedAttribute
    empty_values = [None, "", b""]

    def __init__(self, *args: Any, plain: str = "", is_searched: bool = False, **kwargs: Any) -> None:
        kwargs["null"] = True
        super().__init__(*args, **kwargs)
        self.plain, self.is_searched = plain, is_searched
        if self.max_length is not None:
            self.validators.append(MaxLengthValidator(self.max_length))

    def deconstruct(self) -> Any:
        """Return what migrations know of the field."""
        name, path, args, kwargs = super().deconstruct()
        del kwargs["null"]
        return name, path, args, kwargs

    @property
    def place(self) -> str:
        """What a sealed value of this column is bound to, beside its row."""
        return f"{self.model._meta.label_lower}.{self.name}"

    def get_internal_type(self) -> str:
        """Return the kind of column: octets."""
        return "BinaryField"

    def get_lookup(self, lookup_name: str) -> Any:
        """Return the lookup; only whether there is a value can be asked of the database."""
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None

    def from_db_value(self, value: Any, _expression: Any, _connection: Any) -> Sealed | None:
        """Return the value as it is kept."""
        return None if value is None else Sealed(value)

    def to_python(self, value: Any) -> Any:
        """Return the text of what a form gave."""
        return value if value is None or isinstance(value, Sealed) else str(value)

    def get_prep_value(self, value: Any) -> bytes | None:
        """Return what is kept.

        :raises TypeError: for a text that was not sealed for its row
        """
        if value is None or value == "":
            return None
        if not isinstance(value, Sealed):
            raise TypeError(f"{self.name} is written with its row only")
        return bytes(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Return what the driver takes."""
        kept = value if prepared else self.get_prep_value(value)
        return None if kept is None else connection.Database.Binary(kept)

    def pre_save(self, model_instance: Any, add: bool) -> Sealed | None:  # noqa: ARG002
        """Return the value sealed for its row; nothing as long as the row has no identity."""
        value = model_instance.__dict__.get(self.attname)
        if not isinstance(value, str):
            return value if isinstance(value, Sealed) else None
        row = model_instance.seal_identity()
        if row is None:
            if model_instance.is_late_sealed:
                return None
            raise TypeError("such rows are saved one by one: they are sealed for their ids")
        return self.sealed_for(value, tenant_id=model_instance.sealed_tenant_id(), row=row)

    def sealed_for(self, text: str, *, tenant_id: int, row: str) -> Sealed | None:
        """Return a text as a row of a tenant keeps it."""
        return seal(text.encode(), tenant_id=tenant_id, place=self.place, row=row) if text else None

    def formfield(self, **kwargs: Any) -> Any:
        """Return the field of a form."""
        return super().formfield(**{"form_class": forms.CharField, "max_length": self.max_length, **kwargs})


class SealedRow(models.Model):
    """A row with sealed columns."""

    is_late_sealed = False  # whether the sealed values follow in a second write of the same transaction

    class Meta:
        abstract = True

    def seal_identity(self) -> str | None:
        """Return what the row's sealed values are bound to; None while it has no id."""
        return None if self.pk is None else str(self.pk)

    def sealed_tenant_id(self) -> int:
        """Return whose key seals the row."""
        tenant_id: int = self.tenant_id  # type: ignore[attr-defined]
        return tenant_id

    @classmethod
    def sealed_fields(cls) -> Sequence[SealedTextField]:
        """Return the sealed columns."""
        return [field for field in cls._meta.concrete_fields if isinstance(field, SealedTextField)]

    @classmethod
    def searched_places(cls) -> Sequence[str]:
        """Return the sealed columns that are found by word."""
        return [field.place for field in cls.sealed_fields() if field.is_searched]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row with its texts sealed and, where they are searched, their words."""
        only = kwargs.get("update_fields")
        texts = [
            field
            for field in self.sealed_fields()
            if isinstance(self.__dict__.get(field.attname), str) and (only is None or field.name in only)
        ]
        for field in texts:
            if field.plain:
                setattr(self, field.plain, "")
        plain = [field.plain for field in texts if field.plain]
        if only is not None:
            kwargs["update_fields"] = [*only, *plain]
        is_late = bool(texts) and self.seal_identity() is None
        is_searched = any(field.is_searched for field in texts)
        if not is_late and not is_searched:
            super().save(*args, **kwargs)
            return
        with transaction.atomic(using=kwargs.get("using")), one_key():
            self.is_late_sealed = is_late
            super().save(*args, **kwargs)
            if is_late:
                super().save(using=kwargs.get("using"), update_fields=[field.name for field in texts])
            if is_searched:
                self._index()

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        """Delete the row and what it was found by."""
        with transaction.atomic(using=kwargs.get("using")):
            if self.searched_places():
                index_row(self, {}, tenant_id=self.sealed_tenant_id())
            return super().delete(*args, **kwargs)

    def _index(self) -> None:
        texts = {
            field.place: getattr(self, field.attname) for field in self.sealed_fields() if field.is_searched
        }
        index_row(self, texts, tenant_id=self.sealed_tenant_id())
