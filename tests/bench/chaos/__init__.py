"""An hour made by chance: callers come and go, engines fail, and what must hold is looked at afterwards."""
