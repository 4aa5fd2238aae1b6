"""What images go through: augmentation, whitening, several in one."""
