"""DLMS/COSEM (IEC 62056-5-3, -6-2, -46, -47): bytes <-> fields, client and server. No I/O, no clock."""
