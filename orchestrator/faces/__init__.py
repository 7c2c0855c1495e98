"""The faces: ways to reach the operations. A face reads what was asked, calls one verb, and shows what came back."""
