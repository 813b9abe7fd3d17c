"""What a program does beyond its own folders and this machine: seen from outside (strace), or from within (hooks)."""
