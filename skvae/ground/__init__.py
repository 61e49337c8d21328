"""Operations on tensors, private draws, optional packages: imported by every folder."""
